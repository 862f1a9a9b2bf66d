-- What the measured handlers write.
CREATE TABLE public.effects (handler text NOT NULL, position bigint NOT NULL, stream text NOT NULL, PRIMARY KEY (position, handler))
