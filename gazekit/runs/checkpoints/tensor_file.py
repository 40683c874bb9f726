"""Write tensors as a safetensors file without a copy of them: the training that goes on meanwhile needs the memory.

Format: https://github.com/huggingface/safetensors. The library reads these files; its own writers hold the whole file
in memory, or write it under another name, which only its owner can read.
"""

import json
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from gazekit.errors import ConfigurationError

_TYPES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.float8_e5m2: "F8_E5M2",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.int16: "I16",
    torch.uint16: "U16",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.uint32: "U32",
    torch.float32: "F32",
    torch.complex64: "C64",
    torch.float64: "F64",
    torch.int64: "I64",
    torch.uint64: "U64",
}
"""Names of the types in the order of the format, in which larger ones come later."""
_RANK = {dtype: rank for rank, dtype in enumerate(_TYPES)}


def check_types(tensors: Mapping[str, Tensor], of: str) -> None:
    """Raise ConfigurationError if a tensor has a type that a checkpoint does not hold.

    Args:
        tensors: by name.
        of: what they are, for the message.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPES:
            raise ConfigurationError(
                f"{of} '{name}': a tensor of {tensor.dtype}, which a checkpoint does not hold; expected one of "
                f"{', '.join(map(str, _TYPES))}"
            )


def pieces_of(tensors: Mapping[str, Tensor]) -> Iterator[memoryview]:
    """Yield the bytes of a safetensors file: its header, then each tensor, which is not copied.

    Args:
        tensors: by name, contiguous and on the CPU. Large types come first, so that each tensor is aligned.
    """
    ordered = sorted(tensors.items(), key=lambda item: (-_RANK[item[1].dtype], item[0]))
    places, end = {}, 0
    for name, tensor in ordered:
        begin, end = end, end + tensor.nbytes
        shape = list(tensor.shape)
        places[name] = {"dtype": _TYPES[tensor.dtype], "shape": shape, "data_offsets": [begin, end]}
    header = json.dumps(places, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    yield memoryview(len(header).to_bytes(8, "little") + header)
    for _, tensor in ordered:
        yield tensor.reshape(-1).view(torch.uint8).numpy().data
