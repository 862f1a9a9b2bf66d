-- The months that were filled in behind Millrace's back had been closed, as those without events are: what they hold is asked
-- for anew.
DELETE FROM millrace.closed_months
