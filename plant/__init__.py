"""The shared domain: tags, points, states, OEE, the historian port and the plant's configuration.

Knows no protocol and no screen; imports none of the other packages.
"""
