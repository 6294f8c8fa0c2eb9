"""Golden files of the tensor room: written here by safetensors, gguf and torch.save, read by tests/tensor/parity.cpp bit for bit.

Run in .venv-parity. `tensor.py` writes golden/tensor/; `tensor.py --check FOLDER` reads what our writers put into FOLDER.
"""

import argparse
import json
import pathlib
from collections import OrderedDict
from importlib.metadata import version

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from safetensors.torch import load_file, save_file

GOLDEN = pathlib.Path(__file__).resolve().parent / "golden" / "tensor"
READ_TYPES = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K"]
WRITTEN_TYPES = ["Q8_0", "Q4_0", "Q4_1"]


def example_tensors():
    """Tensors of every plain type and of awkward shapes and strides."""
    random = torch.Generator().manual_seed(7)
    base = torch.randn(6, 5, generator=random)
    tensors = OrderedDict()
    tensors["f32"] = base
    tensors["f16"] = base.half()
    tensors["bf16"] = base.bfloat16()
    tensors["f64"] = base.double()
    tensors["empty"] = torch.zeros(0, 3)
    tensors["scalar"] = torch.tensor(2.5)
    tensors["bool"] = base > 0
    for name in ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]:
        tensors[name] = torch.arange(7).to(getattr(torch, name))
    tensors["c64"] = torch.complex(base[0], base[1])
    tensors["f8_e4m3"] = base[0].to(torch.float8_e4m3fn)
    tensors["f8_e5m2"] = base[0].to(torch.float8_e5m2)
    tensors['quote " and ü'] = torch.ones(1)
    return tensors


def torch_object():
    """What checkpoints hold: nested dicts, views, shared storages, parameters, optimizer numbers."""
    tensors = example_tensors()
    base = tensors["f32"]
    state = OrderedDict(tensors)
    state["transposed"] = base.t()
    state["column"] = base[:, 2]
    state["every_other"] = base[1::2, ::2]
    state["tied"] = base
    state["parameter"] = torch.nn.Parameter(base[2])
    state["expanded"] = torch.arange(3).expand(2, 3)
    return {
        "state_dict": state,
        "epoch": 3,
        "best": np.float64(0.5),
        "note": "text",
        "optimizer": {"state": {0: {"step": torch.tensor(4.0), "exp_avg": base * 2}}, "param_groups": [{"lr": 1e-3, "betas": (0.9, 0.999), "params": [0]}]},
        "size": base.shape,
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "big": 1 << 70,
        "set": {1, 2},
    }


def raw(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def flat_tensors(value, prefix=""):
    if isinstance(value, torch.Tensor):
        yield prefix, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from flat_tensors(item, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from flat_tensors(item, f"{prefix}.{i}")


def write_torch():
    saved = torch_object()
    torch.save(saved, GOLDEN / "checkpoint.pt")
    torch.save(saved, GOLDEN / "checkpoint_protocol4.pt", pickle_protocol=4)
    without_new = {k: v for k, v in saved.items()}
    without_new["state_dict"] = OrderedDict((k, v) for k, v in saved["state_dict"].items() if not k.startswith(("uint16", "uint32", "uint64", "f8")))
    torch.save(without_new, GOLDEN / "checkpoint_legacy.pt", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2).state_dict(), GOLDEN / "linear.pt")
    torch.save(torch.nn.Linear(2, 2), GOLDEN / "whole_module.pt")
    expected = {name: {"shape": list(t.shape), "hex": raw(t).hex()} for name, t in flat_tensors(saved)}
    (GOLDEN / "checkpoint.json").write_text(json.dumps(expected, indent=0) + "\n")


def random_blocks(kind, rows, rng):
    """Random bytes with scales that are ordinary numbers: a random half float may be NaN."""
    block, size = gguf.GGML_QUANT_SIZES[Type[kind]]
    data = rng.integers(0, 256, (rows, size), dtype=np.uint8)
    places = {"Q4_0": [0], "Q5_0": [0], "Q8_0": [0], "Q4_1": [0, 2], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}
    for place in places[kind]:
        halves = rng.standard_normal(rows).astype(np.float16)
        halves[: rows // 4] *= np.float16(1e-6)  # halves below the normal range too
        data[:, place : place + 2] = halves.view(np.uint8).reshape(rows, 2)
    return data, block


def write_gguf():
    rng = np.random.default_rng(11)
    writer = gguf.GGUFWriter(str(GOLDEN / "types.gguf"), "llama")
    writer.add_uint8("k.u8", 200)
    writer.add_int8("k.i8", -100)
    writer.add_uint16("k.u16", 60000)
    writer.add_int16("k.i16", -30000)
    writer.add_uint32("k.u32", 4000000000)
    writer.add_int32("k.i32", -2000000000)
    writer.add_uint64("k.u64", 1 << 63)
    writer.add_int64("k.i64", -(1 << 62))
    writer.add_float32("k.f32", 0.1)
    writer.add_float64("k.f64", 0.1)
    writer.add_bool("k.bool", True)
    writer.add_string("k.string", "grüße")
    writer.add_array("k.strings", ["a", "", "ccc"])
    writer.add_array("k.i32s", [1, -2, 3])
    writer.add_array("k.f32s", [0.5, 0.25])
    expected = {}
    for kind in ["F32", "F16", "F64"]:
        values = rng.standard_normal((2, 3, 8)).astype({"F32": np.float32, "F16": np.float16, "F64": np.float64}[kind])
        writer.add_tensor(kind, values)
        expected[kind] = values.astype(np.float32)
    bf16 = rng.standard_normal((2, 8)).astype(np.float32)
    writer.add_tensor("BF16", gguf.quants.quantize(bf16, Type.BF16), raw_dtype=Type.BF16)
    expected["BF16"] = gguf.quants.dequantize(gguf.quants.quantize(bf16, Type.BF16), Type.BF16)
    for kind in READ_TYPES:
        rows = 8
        data, _ = random_blocks(kind, rows, rng)
        writer.add_tensor(kind, data, raw_dtype=Type[kind])
        expected[kind] = gguf.quants.dequantize(data, Type[kind]).astype(np.float32)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file({k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in expected.items()}, GOLDEN / "types_expected.safetensors")


def write_quantised():
    """Rows to quantise, and what gguf makes of them: normal, tiny, huge, constant, zero, ties."""
    rng = np.random.default_rng(13)
    rows = rng.standard_normal((48, 64)).astype(np.float32)
    rows[0] = 0
    rows[1] = 3.5
    rows[2, ::2] = -1
    rows[3] = np.arange(64) - 32
    rows[4] = (np.arange(64) % 16 - 8) / 2
    rows[5] *= 1e-9
    rows[6] *= 1e4
    rows[7] = np.round(rows[7] * 4) / 4
    out = {"rows": torch.from_numpy(rows)}
    for kind in [*WRITTEN_TYPES, "BF16"]:
        out[kind] = torch.from_numpy(gguf.quants.quantize(rows, Type[kind]).view(np.uint8).copy())
    halves = np.concatenate([rows.reshape(-1), np.array([65504, 65519.99, 65520, 1e-8, 5.96e-8, 2.98e-8, 6.1e-5, np.inf, -np.inf], np.float32)])
    out["half_in"] = torch.from_numpy(halves)
    with np.errstate(over="ignore"):
        out["half_out"] = torch.from_numpy(halves.astype(np.float16).view(np.uint8).copy())
    save_file(out, GOLDEN / "quantised.safetensors")


def check(folder):
    """Our files against the reference's readers; prints what was compared."""
    theirs = load_file(GOLDEN / "plain.safetensors")
    ours = load_file(folder / "plain.safetensors")
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert raw(tensor) == raw(ours[name]) and tensor.shape == ours[name].shape and tensor.dtype == ours[name].dtype, name
    index = json.loads((folder / "sharded" / "model.safetensors.index.json").read_text())
    sharded = {name: load_file(folder / "sharded" / file)[name] for name, file in index["weight_map"].items()}
    assert sharded.keys() == theirs.keys() and all(raw(sharded[n]) == raw(theirs[n]) for n in theirs)
    assert index["metadata"]["total_size"] == sum(t.numel() * t.element_size() for t in theirs.values())
    reader = gguf.GGUFReader(folder / "written.gguf")
    assert reader.get_field("k.strings").contents() == ["a", "", "ccc"]
    rows = load_file(GOLDEN / "quantised.safetensors")
    for tensor in reader.tensors:
        expected = rows["rows"].numpy() if tensor.name == "F32" else rows[tensor.name].numpy()
        assert np.array_equal(np.asarray(tensor.data).view(np.uint8).reshape(-1), expected.view(np.uint8).reshape(-1)), tensor.name
        assert list(tensor.shape) == [64, 48], tensor.name
    print(f"checked {len(theirs)} safetensors tensors, {len(index['weight_map'])} sharded, {len(reader.tensors)} GGUF tensors")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", type=pathlib.Path)
    folder = parser.parse_args().check
    if folder:
        return check(folder)
    GOLDEN.mkdir(parents=True, exist_ok=True)
    save_file(example_tensors(), GOLDEN / "plain.safetensors", metadata={"format": "pt"})
    write_torch()
    write_gguf()
    write_quantised()
    versions = {package: version(package) for package in ["torch", "safetensors", "gguf", "numpy"]}
    (GOLDEN / "versions.json").write_text(json.dumps(versions, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
