-- The live projection: what was paid less what was refunded. $1 run, $2 orders paid, $3 cents.
INSERT INTO millrace_demo.revenue AS r (run, orders, cents)
VALUES ($1, $2, $3)
ON CONFLICT (run) DO UPDATE SET orders = r.orders + excluded.orders, cents = r.cents + excluded.cents
