ALTER TABLE quirk_a ADD more text DEFAULT $$;$$ -- no semicolon; and a comment
