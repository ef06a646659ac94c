"""Modbus TCP, RTU over TCP and serial RTU.

bus.py         one connection per endpoint, shared by its units, one request at a time; breaker.py: dead units
connection.py  one open link; replies.py: what a reply must be to be believed
device.py      one unit with its tags: the source; healing.py: blocks that a device refuses
signals.py     what was last read of each tag
writing.py     the only code that writes to a device
"""

from gateway.sources.modbus.bus import Bus, Buses
from gateway.sources.modbus.device import ModbusSource

__all__ = ["Bus", "Buses", "ModbusSource"]
