"""Headers that only pages have."""

import logging

logger = logging.getLogger(__name__)

POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
"""No script at all, and nothing from elsewhere."""

HEADERS = {
    "Content-Security-Policy": POLICY,
    # Other sites learn nothing; our own forms need it, because their protection looks at where a form came from.
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
}
