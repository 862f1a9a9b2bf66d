-- One event a transaction through Millrace's function, otherwise as the plain INSERT.
\set s :v / 6
\set v :v + 1
SELECT millrace.publish_event('order.created', concat(:run::text, '-', :client_id::int, '-', :s::int), 'order', :data::jsonb, :metadata::jsonb);
