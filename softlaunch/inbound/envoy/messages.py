"""Envoy's messages as they travel: those fields of its interfaces that are read or written here, by their numbers.

The package `xds-protos` has them all, and puts older files in the place of OpenTelemetry's: both can't be installed
together. What isn't listed is passed over when a message is read, as protobuf has it.
"""

from collections.abc import Iterator
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, duration_pb2, message_factory, struct_pb2
from google.protobuf import timestamp_pb2 as timestamps

RUNTIME = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
OVERWRITE = 2
"""HeaderValueOption.HeaderAppendAction: OVERWRITE_IF_EXISTS_OR_ADD."""
_PACKAGE = "softlaunch.envoy"
_KNOWN = {
    "Any": any_pb2.Any.DESCRIPTOR,
    "Duration": duration_pb2.Duration.DESCRIPTOR,
    "Struct": struct_pb2.Struct.DESCRIPTOR,
    "Timestamp": timestamps.Timestamp.DESCRIPTOR,
}
_KINDS = {"string": 9, "bytes": 12, "bool": 8, "int32": 5, "uint32": 13}
_MESSAGE, _ONE, _MANY = 11, 1, 3
_FIELDS = """
Node: string id 1
Status: int32 code 1, string message 2
DiscoveryRequest: string version_info 1, Node node 2, string* resource_names 3, string type_url 4, \
string response_nonce 5, Status error_detail 6
DiscoveryResponse: string version_info 1, Any* resources 2, string type_url 4, string nonce 5
Resource: string version 1, Any resource 2, string name 3, Duration ttl 6
Runtime: string name 1, Struct layer 2

Number: uint32 value 1
Pair: string key 1, string value 2
Flags: bool no_healthy_upstream 2, bool upstream_request_timeout 3, bool upstream_remote_reset 5, \
bool upstream_connection_failure 6, bool upstream_connection_termination 7, bool upstream_overflow 8, \
bool downstream_connection_termination 15, bool stream_idle_timeout 17, bool downstream_protocol_error 19, \
bool upstream_max_stream_duration_reached 20, bool duration_timeout 23, bool upstream_protocol_error 24, \
bool dns_resolution_failure 27, bool downstream_remote_reset 28
Common: Timestamp start_time 5, Duration time_to_first_upstream_rx_byte 9, Duration time_to_last_upstream_rx_byte 10, \
Duration time_to_last_downstream_tx_byte 12, string upstream_cluster 15, Flags response_flags 16, \
string route_name 19, Duration duration 23, string stream_id 26
RequestProperties: string request_id 9, Pair* request_headers 13
ResponseProperties: Number response_code 1, Pair* response_headers 4
LogEntry: Common common_properties 1, RequestProperties request 3, ResponseProperties response 4
LogEntries: LogEntry* log_entry 1
LogIdentifier: Node node 1, string log_name 2
LogMessage: LogIdentifier identifier 1, LogEntries http_logs 2
LogResponse:

Header: string key 1, string value 2, bytes raw_value 3
HeaderMap: Header* headers 1
HeaderOption: Header header 1, int32 append_action 3
HeaderMutation: HeaderOption* set_headers 1, string* remove_headers 2
BodyMutation: bytes body 1
Changed: HeaderMutation header_mutation 2, BodyMutation body_mutation 3
HeadersResponse: Changed response 1
BodyResponse: Changed response 1
HttpStatus: int32 code 1
ImmediateResponse: HttpStatus status 1, HeaderMutation headers 2, bytes body 3
HttpHeaders: HeaderMap headers 1, bool end_of_stream 3
HttpBody: bytes body 1, bool end_of_stream 2
ProcessingRequest: HttpHeaders request_headers 2, HttpBody request_body 4
ProcessingResponse: HeadersResponse request_headers 1, BodyResponse request_body 3, \
ImmediateResponse immediate_response 7
"""


def _file() -> descriptor_pb2.FileDescriptorProto:
    needed = sorted({one.file.name for one in _KNOWN.values()})
    file = descriptor_pb2.FileDescriptorProto(
        name="softlaunch/envoy.proto", package=_PACKAGE, syntax="proto3", dependency=needed
    )
    for line in filter(None, _FIELDS.replace("\\\n", "").split("\n")):
        name, _, fields = line.partition(":")
        file.message_type.add(name=name, field=_fields(fields))
    return file


def _fields(written: str) -> Iterator[descriptor_pb2.FieldDescriptorProto]:
    for one in filter(str.strip, written.split(",")):
        kind, name, number = one.split()
        label = _MANY if kind.endswith("*") else _ONE
        kind = kind.rstrip("*")
        field = descriptor_pb2.FieldDescriptorProto(name=name, number=int(number))
        field.label = label
        field.type = _KINDS.get(kind, _MESSAGE)
        if kind not in _KINDS:
            field.type_name = f".{_KNOWN[kind].full_name}" if kind in _KNOWN else f".{_PACKAGE}.{kind}"
        yield field


_POOL = descriptor_pool.Default()
_POOL.AddSerializedFile(_file().SerializeToString())


def _message(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


DiscoveryRequest = _message("DiscoveryRequest")
DiscoveryResponse = _message("DiscoveryResponse")
Resource = _message("Resource")
Runtime = _message("Runtime")
LogEntry = _message("LogEntry")
LogMessage = _message("LogMessage")
LogResponse = _message("LogResponse")
HeaderOption = _message("HeaderOption")
Header = _message("Header")
HeaderMutation = _message("HeaderMutation")
BodyMutation = _message("BodyMutation")
Changed = _message("Changed")
HeadersResponse = _message("HeadersResponse")
BodyResponse = _message("BodyResponse")
HttpStatus = _message("HttpStatus")
ImmediateResponse = _message("ImmediateResponse")
ProcessingRequest = _message("ProcessingRequest")
ProcessingResponse = _message("ProcessingResponse")
