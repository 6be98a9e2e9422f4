"""Tells schemathesis that an archive is sent as any bytes are."""

import schemathesis

schemathesis.serializer.alias("application/x-tar", "application/octet-stream")
