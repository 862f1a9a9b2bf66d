-- A batch's effects.
INSERT INTO public.effects (handler, position, stream) SELECT $1, n.position, n.stream FROM unnest($2::bigint[], $3::text[]) AS n (position, stream)
