"""Headers that tell browsers to be careful with the answers."""

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)
"""Headers of every answer: take no content for another type, tell no other site the URL, and show nothing in a frame.

Pages have a `content-security-policy` as well, which depends on their scripts."""
