-- The keys that personal data are encrypted with, one in use a subject. A row stays when its key is destroyed, so that a reader can tell what was
-- forgotten from what was never known, and that no new key is made without being asked for. Read and written through functions only.
CREATE TABLE millrace.subject_keys (
    key_id       uuid        NOT NULL DEFAULT gen_random_uuid(),
    subject      text        COLLATE "C" NOT NULL,
    -- Of AES-256; NULL once it is destroyed.
    key          bytea,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    forgotten_at timestamptz,
    CONSTRAINT subject_keys_pkey PRIMARY KEY (key_id),
    CONSTRAINT subject_keys_subject_has_a_length CHECK (octet_length(subject) BETWEEN 1 AND 1000),
    CONSTRAINT subject_keys_are_of_256_bits CHECK (octet_length(key) = 32),
    CONSTRAINT subject_keys_are_there_or_forgotten CHECK ((key IS NULL) = (forgotten_at IS NOT NULL))
);
CREATE UNIQUE INDEX subject_keys_one_in_use ON millrace.subject_keys (subject) WHERE forgotten_at IS NULL;
CREATE INDEX subject_keys_subject_idx ON millrace.subject_keys (subject);

-- Which streams may hold personal data of a subject: written before the first event that does, whoever keeps the keys. A row may be of a stream
-- into which nothing came in the end.
CREATE TABLE millrace.subject_streams (
    subject        text        COLLATE "C" NOT NULL,
    aggregate_type text        COLLATE "C" NOT NULL,
    aggregate_id   text        COLLATE "C" NOT NULL,
    -- When the subject was forgotten last: a state that was made before may know it.
    forgotten_at   timestamptz,
    CONSTRAINT subject_streams_pkey PRIMARY KEY (subject, aggregate_type, aggregate_id),
    CONSTRAINT subject_streams_subject_has_a_length CHECK (octet_length(subject) BETWEEN 1 AND 1000)
);
CREATE INDEX subject_streams_stream_idx ON millrace.subject_streams (aggregate_type, aggregate_id);
