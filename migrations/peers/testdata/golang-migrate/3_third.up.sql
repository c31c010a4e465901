-- windows
INSERT INTO quirk_b VALUES (2, 'two
lines');
/* no
 end */