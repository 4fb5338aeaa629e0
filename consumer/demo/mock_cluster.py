"""librdkafka's mock cluster, reached with ctypes in the very library that the confluent-kafka wheel ships.

It speaks the real protocol over local sockets: topics, groups of both protocols, offsets, idempotent producers. It
keeps about 5 MB a partition and then silently drops the oldest records. Never for production.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType

import confluent_kafka
from confluent_kafka import cimpl

API_KEYS = MappingProxyType(
    {
        "Produce": 0,
        "Fetch": 1,
        "ListOffsets": 2,
        "Metadata": 3,
        "OffsetCommit": 8,
        "OffsetFetch": 9,
        "FindCoordinator": 10,
        "JoinGroup": 11,
        "Heartbeat": 12,
        "LeaveGroup": 13,
        "SyncGroup": 14,
        "InitProducerId": 22,
        "AddPartitionsToTxn": 24,
        "EndTxn": 26,
        "ConsumerGroupHeartbeat": 68,
    }
)
_PRODUCER = 0
_REBALANCE_DELAY_MS = 100

_VOID, _INT, _INT16, _INT32, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_int16, ctypes.c_int32, ctypes.c_char_p
_SIGNATURES: MappingProxyType[str, tuple[object, tuple[object, ...]]] = MappingProxyType(
    {
        "rd_kafka_conf_new": (_VOID, ()),
        "rd_kafka_conf_set": (_INT, (_VOID, _TEXT, _TEXT, _TEXT, ctypes.c_size_t)),
        "rd_kafka_new": (_VOID, (_INT, _VOID, _TEXT, ctypes.c_size_t)),
        "rd_kafka_destroy": (None, (_VOID,)),
        "rd_kafka_mock_cluster_new": (_VOID, (_VOID, _INT)),
        "rd_kafka_mock_cluster_destroy": (None, (_VOID,)),
        "rd_kafka_mock_cluster_bootstraps": (_TEXT, (_VOID,)),
        "rd_kafka_mock_topic_create": (_INT, (_VOID, _TEXT, _INT, _INT)),
        "rd_kafka_mock_push_request_errors_array": (None, (_VOID, _INT16, ctypes.c_size_t, ctypes.POINTER(_INT))),
        "rd_kafka_mock_clear_request_errors": (None, (_VOID, _INT16)),
        "rd_kafka_mock_broker_set_down": (_INT, (_VOID, _INT32)),
        "rd_kafka_mock_broker_set_up": (_INT, (_VOID, _INT32)),
        "rd_kafka_mock_broker_set_rtt": (_INT, (_VOID, _INT32, _INT)),
        "rd_kafka_mock_coordinator_set": (_INT, (_VOID, _TEXT, _TEXT, _INT32)),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, (_VOID, _INT32)),
    }
)


class MockClusterMissing(RuntimeError):
    """This build of confluent-kafka does not show librdkafka's mock cluster."""


class MockCluster:
    """A cluster inside this process. Run it in a process of its own: its work is done under this one's load."""

    def __init__(self, brokers: int = 1) -> None:
        self._library = _load()
        error = ctypes.create_string_buffer(512)
        conf = self._library.rd_kafka_conf_new()
        # The handle is only there to hold the cluster; what it has to say about itself helps nobody.
        self._library.rd_kafka_conf_set(conf, b"log_level", b"2", error, len(error))
        self._handle = self._library.rd_kafka_new(_PRODUCER, conf, error, len(error))
        if not self._handle:
            raise MockClusterMissing(f"librdkafka could not be started: {error.value.decode()}")
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._handle, brokers)
        if not self._cluster:
            raise MockClusterMissing("librdkafka could not open the mock cluster's sockets")
        self._library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, _REBALANCE_DELAY_MS)
        self.brokers = brokers

    @property
    def bootstrap(self) -> str:
        """``host:port`` of its brokers, with commas between."""
        found: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster)
        return found.decode()

    def create_topic(self, name: str, partitions: int) -> None:
        replicas = min(3, self.brokers)
        if self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), partitions, replicas):
            raise ValueError(f"no topic {name} with {partitions} partitions can be made: does it exist?")

    def push_errors(self, api: str, codes: Sequence[int]) -> None:
        """Answer the next requests of this API with these Kafka error codes, one each."""
        array = (ctypes.c_int * len(codes))(*codes)
        self._library.rd_kafka_mock_push_request_errors_array(self._cluster, API_KEYS[api], len(codes), array)

    def clear_errors(self, api: str) -> None:
        self._library.rd_kafka_mock_clear_request_errors(self._cluster, API_KEYS[api])

    def set_down(self, broker: int) -> None:
        """Close a broker's connections and refuse new ones. Brokers count from 1."""
        self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def set_up(self, broker: int) -> None:
        self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def set_round_trip(self, broker: int, milliseconds: int) -> None:
        self._library.rd_kafka_mock_broker_set_rtt(self._cluster, broker, milliseconds)

    def set_coordinator(self, kind: str, key: str, broker: int) -> None:
        """Move the coordinator of a ``group`` or ``transaction``."""
        self._library.rd_kafka_mock_coordinator_set(self._cluster, kind.encode(), key.encode(), broker)

    def close(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._handle)


def _load() -> ctypes.CDLL:
    # The wheel keeps its libraries beside the package; importing cimpl has loaded the one we want.
    assert cimpl is not None
    folder = Path(confluent_kafka.__file__).parent.parent / "confluent_kafka.libs"
    found = sorted(folder.glob("librdkafka*.so*")) + sorted(folder.glob("librdkafka*.dylib"))
    if not found:
        raise MockClusterMissing(
            "no bundled librdkafka beside confluent_kafka: install it from its wheel (pip), not from a distribution"
        )
    library = ctypes.CDLL(str(found[0]))
    for name, (result, arguments) in _SIGNATURES.items():
        try:
            function = getattr(library, name)
        except AttributeError:
            raise MockClusterMissing(f"this librdkafka does not export {name}") from None
        function.restype, function.argtypes = result, arguments
    return library
