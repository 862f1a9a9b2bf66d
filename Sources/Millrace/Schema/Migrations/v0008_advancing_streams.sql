-- That a stream only grows was watched by a trigger of each row, which measured 1.6 µs of the 6.6 µs that advancing a stream takes,
-- in every append. Now a statement is looked at once: an UPDATE of streams is refused unless it comes from a function that
-- advances them (they have SET millrace.advances_streams = on), and those raise the version in the statement that locks the
-- row. Whoever owns the table and says that setting himself is not stopped, as he is not by any trigger that he can drop.
DROP TRIGGER streams_only_grow ON millrace.streams;

CREATE TRIGGER streams_only_grow
    BEFORE UPDATE ON millrace.streams
    FOR EACH STATEMENT WHEN (current_setting('millrace.advances_streams', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION millrace.refuse_change();
ALTER TABLE millrace.streams ENABLE ALWAYS TRIGGER streams_only_grow;
