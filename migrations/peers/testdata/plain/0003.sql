;;

CREATE TABLE quirk_b (LIKE quirk_a INCLUDING DEFAULTS);;
/* nothing; */ ;
