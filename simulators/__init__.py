"""A shop floor that does not exist: believable machines on real Modbus and MQTT, and the truth about them.

Imports the shared domain only; the gateway reads its machines as it reads any other.
"""
