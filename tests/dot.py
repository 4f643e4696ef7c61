"A picture of one pixel, where a test wants a figure to be made and not its pixels."

import base64

DOT_TEXT = (
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='
)
DOT = base64.b64decode(DOT_TEXT)
