"""What a request expects, and what may be wrong with what came (pure)."""

from __future__ import annotations

from dataclasses import dataclass

from pymodbus.framer import FramerRTU
from pymodbus.pdu import ModbusPDU

from gateway.blocks import Block
from plant.connections import Fault
from plant.points import Quality
from plant.tags import Table

_READ = {Table.COIL: 1, Table.DISCRETE: 2, Table.HOLDING: 3, Table.INPUT: 4}
_RTU_EXCEPTION = 5  # bytes: unit, function | 0x80, code, two of CRC
_ECHO = 8  # bytes of the RTU reply to a write: unit, function, address, value or count, CRC


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request gave nothing. `link_lost`: the connection must be opened again.

    `code` is the Modbus exception code, 0 where the device gave none. `asked` is False for what is only
    remembered: the unit or the endpoint was not tried again.
    """

    quality: Quality
    fault: Fault
    detail: str
    link_lost: bool = False
    code: int = 0
    asked: bool = True

    @property
    def refused(self) -> bool:
        """Illegal address or value: a smaller request may do."""
        return self.code in (2, 3)

    @property
    def silent(self) -> bool:
        """The unit gave no answer; with code 10 or 11 a gateway says so in its place."""
        return self.fault is Fault.TIMEOUT or self.code in (10, 11)

    @property
    def unconnected(self) -> bool:
        return self.quality is Quality.BAD_NOT_CONNECTED


@dataclass(frozen=True, slots=True)
class Expected:
    """The reply that answers a request: from which unit, to which function, with how many data bytes.

    `data_bytes` is None for a write, whose reply repeats the request.
    """

    unit: int
    function: int
    data_bytes: int | None

    @classmethod
    def of(cls, block: Block) -> Expected:
        data_bytes = (block.count + 7) // 8 if block.table.is_bits else 2 * block.count
        return cls(block.unit, _READ[block.table], data_bytes)

    def rtu_mistake(self, frame: bytes) -> str:
        """What is wrong with an RTU frame as far as it has come; empty when nothing is, so far.

        An RTU reply carries neither a transaction id nor an address: everything else must be exactly right.
        """
        if frame[0] != self.unit:
            return f"unit {frame[0]} answered instead of {self.unit}"
        if len(frame) == 1:
            return ""
        refused = frame[1] == self.function | 0x80
        if frame[1] != self.function and not refused:
            return f"function {frame[1]} instead of {self.function}"
        if not refused and self.data_bytes is not None and len(frame) > 2 and frame[2] != self.data_bytes:
            return f"{frame[2]} data bytes instead of {self.data_bytes}"
        whole = _RTU_EXCEPTION if refused else _ECHO if self.data_bytes is None else self.data_bytes + 5
        if len(frame) > whole:
            return f"{len(frame) - whole} bytes more than the reply has"
        if len(frame) == whole and not FramerRTU.check_CRC(frame[:-2], int.from_bytes(frame[-2:], "big")):
            return "the checksum of the reply is wrong"
        return ""

    def failure(self, reply: ModbusPDU, transaction: int) -> Failure | None:
        """None when the decoded reply is the answer, else why it is not."""
        if reply.transaction_id != transaction:
            return wrong(f"transaction {reply.transaction_id} instead of {transaction}")
        if reply.dev_id != self.unit:
            return wrong(f"unit {reply.dev_id} answered instead of {self.unit}")
        if reply.function_code == self.function | 0x80:
            code = reply.exception_code
            quality = Quality.of_modbus_exception(code)
            return Failure(quality, Fault.MODBUS_EXCEPTION, f"exception {code}", code=code)
        if reply.function_code != self.function:
            return wrong(f"function {reply.function_code} instead of {self.function}")
        return None


def cells_of(block: Block, reply: ModbusPDU) -> list[int] | list[bool] | Failure:
    """The registers or bits of a reply of the right unit and function, if it has as many as were asked for."""
    if block.table.is_bits:
        padded = (block.count + 7) // 8 * 8
        if len(reply.bits) != padded:
            return wrong(f"{len(reply.bits)} bits instead of {padded}")
        return list(reply.bits[: block.count])
    if len(reply.registers) != block.count:
        return wrong(f"{len(reply.registers)} registers instead of {block.count}")
    return list(reply.registers)


def wrong(detail: str, *, link_lost: bool = False) -> Failure:
    return Failure(Quality.BAD_WRONG_REPLY, Fault.WRONG_REPLY, detail, link_lost)


def lost(detail: str) -> Failure:
    return Failure(Quality.BAD_NOT_CONNECTED, Fault.LOST, detail, link_lost=True)


def no_answer(detail: str, *, link_lost: bool = False) -> Failure:
    return Failure(Quality.BAD_TIMEOUT, Fault.TIMEOUT, detail, link_lost)
