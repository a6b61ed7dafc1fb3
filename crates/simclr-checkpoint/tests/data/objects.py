"""Makes objects-PROTOCOL.pth: what PyTorch's `torch.save` writes for an object that is more than
a dictionary of tensors, by Python's own pickler. Needs no PyTorch.

    python objects.py
"""

import collections
import datetime
import io
import pickle
import struct
import sys
import types
import zipfile


def module(name, *members):
    made = sys.modules.setdefault(name, types.ModuleType(name))
    for member in members:
        member.__module__ = name
        setattr(made, member.__name__, member)


def _rebuild_tensor_v2(*_): ...
def _rebuild_tensor_v3(*_): ...
def _rebuild_parameter(*_): ...
def _rebuild_from_type_v2(*_): ...


class FloatStorage: ...
class LongStorage: ...
class ComplexFloatStorage: ...
class UntypedStorage: ...
class Settings(dict): ...
class History(list): ...
class Net: ...
class Foreign: ...
class float32: ...


module("torch", FloatStorage, LongStorage, ComplexFloatStorage, float32)
module("torch.storage", UntypedStorage)
module("torch._utils", _rebuild_tensor_v2, _rebuild_tensor_v3, _rebuild_parameter)
module("torch._tensor", _rebuild_from_type_v2)
module("their")
module("their.code", Settings, History, Net, Foreign)


class Storage:
    def __init__(self, kind, key, count):
        self.id = ("storage", kind, key, "cuda:0", count)


class Call:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def arguments(kind=FloatStorage, key="0", shape=(2, 3), strides=(3, 1), offset=0):
    return (Storage(kind, key, 12), offset, shape, strides, False, collections.OrderedDict())


def tensor(**how):
    return Call(_rebuild_tensor_v2, *arguments(**how))


def thing():
    foreign = Foreign()
    foreign.me, foreign.list, foreign.when = foreign, [None, tensor()], datetime.date(2020, 1, 1)
    net, conv = Net(), Net()
    net._parameters, net._buffers, net._modules, net.training = {}, {}, {"conv1": conv}, True
    conv._parameters = {"weight": Call(_rebuild_parameter, tensor(), True, collections.OrderedDict())}
    conv._buffers = {"count": tensor(kind=LongStorage, key="1", shape=(), strides=())}
    scores = collections.defaultdict(list)
    scores[3].append(tensor(shape=(2,), strides=(2,), offset=4))
    state = collections.OrderedDict(weight=tensor(shape=(3, 2), strides=(1, 3)))
    state._metadata = collections.OrderedDict()
    return {
        "foreign": foreign,
        "module": net,
        "state_dict": state,
        "settings": Settings(lr=0.5, deep={"weight": tensor()}),
        "history": History([1, tensor()]),
        "scores": scores,
        "typed": Call(_rebuild_from_type_v2, _rebuild_tensor_v2, Foreign, arguments(), {}),
        "untyped": Call(
            _rebuild_tensor_v3, *arguments(kind=UntypedStorage), float32, False
        ),
        "complex": tensor(kind=ComplexFloatStorage),
        "numbers": (1, -1, 300, 1 << 20, -(1 << 40), 1 << 100, 0.1, True, None),
        "texts": ("a", "ü" * 300, b"bytes", bytearray(b"array"), "line\n"),
        "sets": ({1, 2}, frozenset([3]), range(3), slice(1, 2)),
    }


for protocol in (0, 2, 3, 4, 5):
    text = io.BytesIO()
    pickler = pickle.Pickler(text, protocol)
    # Protocol 0 has texts only.
    pickler.persistent_id = lambda o: getattr(o, "id", None) if protocol else None
    pickler.dump(thing() if protocol else {"a": [1, "two", -3.5], "b": (1 << 70, None, "ü")})
    with zipfile.ZipFile(f"objects-{protocol}.pth", "w") as archive:
        archive.writestr("objects/data.pkl", text.getvalue(), zipfile.ZIP_DEFLATED)
        archive.writestr("objects/byteorder", "little")
        archive.writestr("objects/data/0", struct.pack("<12f", *range(12)))
        archive.writestr("objects/data/1", struct.pack("<12q", *range(7, 19)))
