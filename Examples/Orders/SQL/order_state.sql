-- What an order's events come to, for whoever asks in SQL: `millrace rebuild order …` calls it. It is given what is stored, and so it
-- knows the names of both releases.
CREATE OR REPLACE FUNCTION order_state(state jsonb, event millrace.events) RETURNS jsonb
LANGUAGE sql IMMUTABLE
AS $$
    SELECT state || CASE event.event_type
        WHEN 'order.created' THEN event.event_data || '{"status": "placed"}'
        WHEN 'order.placed' THEN event.event_data || '{"status": "placed"}'
        WHEN 'order.paid_and_packed' THEN event.event_data || '{"status": "packed"}'
        ELSE event.event_data || jsonb_build_object('status', split_part(event.event_type, '.', 2))
    END
$$;

SELECT millrace.register_reducer('order', 'order_state', p_initial => '{}');
