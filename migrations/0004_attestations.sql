-- Keys in slots of a PIV application: where they are, what they want of people, and what their device attested of
-- them. The two certificates are null until the device has attested the key.
CREATE TABLE slots (
    key_id TEXT PRIMARY KEY REFERENCES keys (id) ON DELETE CASCADE,
    slot TEXT NOT NULL,
    pin_policy TEXT NOT NULL,
    touch_policy TEXT NOT NULL,
    attestation_pem TEXT,
    device_pem TEXT
);
