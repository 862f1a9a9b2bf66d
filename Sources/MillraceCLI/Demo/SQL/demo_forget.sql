-- The demo is over, and with it one of its handlers. $1 its name.
SELECT millrace.remove_handler($1, 'the demo is over')
