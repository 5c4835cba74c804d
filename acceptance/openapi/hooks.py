"""What schemathesis has to know about media types of this server: tensors are sent as bytes, like other files."""

import schemathesis

schemathesis.serializer.alias("tensor/binary", "application/octet-stream")
