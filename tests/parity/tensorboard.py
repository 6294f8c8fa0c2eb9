"""TensorBoard event files: golden bytes from the protobuf library, and our file read back by TensorBoard's own loader.

    tensorboard.py            writes golden/tensorboard.json
    tensorboard.py --check    makes it anew and compares; runs build/bin/tests_run, which writes the same events, and loads its file
"""
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path = [p for p in sys.path if pathlib.Path(p or ".").resolve() != pathlib.Path(__file__).resolve().parent]  # this file's own name

import google.protobuf
import tensorboard
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

root = pathlib.Path(os.environ.get("TESSERA_HOME", pathlib.Path(__file__).resolve().parents[2]))
golden = pathlib.Path(__file__).resolve().parent / "golden" / "tensorboard.json"


def png(width, height):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    rows = b"".join(b"\0" + bytes((17 * x + 40 * y) % 256 for x in range(3 * width)) for y in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


CASES = [("scalar", "train/loss", 1, 1700000000.25, 2.5), ("scalar", "train/loss", 300, 1700000001.5, 0.1),
         ("scalar", "eval/größe", 2**40, 1.0, -1e-30), ("text", "notes", 7, 1700000002.0, "**bold** é\n"),
         ("image", "samples", 128, 1700000003.0, png(5, 3))]


def event(kind, tag, step, time, value):
    one = Summary.Value(tag=tag)
    if kind == "scalar":
        one.simple_value = value
    elif kind == "image":
        one.image.CopyFrom(Summary.Image(height=3, width=5, colorspace=3, encoded_image_string=value))
    else:
        one.tensor.CopyFrom(TensorProto(dtype=7, tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)]), string_val=[value.encode()]))
        one.metadata.CopyFrom(SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text")))
    return Event(wall_time=time, step=step, summary=Summary(value=[one]))


def document():
    words = [b"", b"a", b"123456789", bytes(range(256))]
    events = [{"kind": k, "tag": t, "step": s, "time": w, "value": v.hex() if k == "image" else v,
               "bytes": event(k, t, s, w, v).SerializeToString(deterministic=True).hex()} for k, t, s, w, v in CASES]
    return {"versions": {"tensorboard": tensorboard.__version__, "protobuf": google.protobuf.__version__},
            "masked": [{"bytes": w.hex(), "crc": masked_crc32c(w)} for w in words], "events": events}


def check():
    stored, fresh = json.loads(golden.read_text()), document()
    assert stored["masked"] == fresh["masked"] and stored["events"] == fresh["events"], "golden/tensorboard.json is not what this makes"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([os.environ.get("TESSERA_TESTS_RUN", root / "build" / "bin" / "tests_run"), "--gtest_filter=TensorBoard.EventsAre*"], check=True, stdout=subprocess.DEVNULL,
                       env={**os.environ, "TESSERA_KEEP_EVENTS": folder})
        (path,) = pathlib.Path(folder).glob("events.out.tfevents.*")
        events = list(EventFileLoader(str(path)).Load())
    assert events[0].file_version == "brain.Event:2" and len(events) == len(CASES) + 1
    for got, (kind, tag, step, time, value) in zip(events[1:], CASES):
        one = got.summary.value[0]
        assert (got.step, got.wall_time, one.tag) == (step, time, tag), got
        if kind == "scalar":  # the loader turns simple_value into a tensor
            assert struct.pack("<f", one.tensor.float_val[0]) == struct.pack("<f", value), got
        elif kind == "text":
            assert one.tensor.string_val[0] == value.encode() and one.metadata.plugin_data.plugin_name == "text", got
        else:  # its bytes after width and height as strings
            assert list(one.tensor.string_val) == [b"5", b"3", value], got
    print(f"{len(CASES)} events equal, tensorboard {tensorboard.__version__}")


if "--check" in sys.argv:
    check()
else:
    golden.write_text(json.dumps(document(), indent=1, ensure_ascii=False) + "\n")
