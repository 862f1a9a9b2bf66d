-- One event's effect.
INSERT INTO public.effects (handler, position, stream) VALUES ($1, $2, $3)
