"""Training steps and embedding in PyTorch, for comparison with `throughput step embed`.

    python3 benches/peer.py --device cuda:0 --batch 128 --against ours.txt

Prints a line `KEY value unit` per figure, the best of eager and compiled channels-last with and
without automatic mixed precision, and `KEY.peak_memory value MB` of a GPU; with the output of
`throughput` also the ratio of ours to it. Needs torch and torchvision.
"""

import argparse
import contextlib
import statistics
import time

import torch
import torchvision

STEPS = (
    ("resnet18", 32, 64, ".cifar"),
    ("resnet18", 96, 32, ""),
    ("resnet18", 224, 16, ""),
    ("resnet50", 96, 16, ""),
    ("resnet50", 224, 8, ""),
)
EMBEDDINGS = (("resnet18", 224, 32), ("resnet50", 224, 16))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, help="images per step or pass in place of the key's")
    parser.add_argument("--against", help="what `throughput` printed")
    parser.add_argument("--eager", action="store_true", help="leave the compiled form out")
    options = parser.parse_args()
    ours = figures(options.against) if options.against else {}
    device = torch.device(options.device)
    for network, size, batch, stem in STEPS:
        batch = options.batch or batch
        key = f"step.{network}.{size}.b{batch}{stem}"
        report(key, "views/s", forms(device, options.eager), step_of(network, size, batch, stem), ours)
    for network, size, batch in EMBEDDINGS:
        batch = options.batch or batch
        report(
            f"embed.{network}.{size}", "img/s", forms(device, options.eager),
            embedding_of(network, size, batch), ours,
        )


def figures(path):
    """The figures that `throughput` printed, by key."""
    with open(path, encoding="utf-8") as lines:
        words = [line.split() for line in lines]
    return {line[0]: float(line[1]) for line in words if len(line) == 3}


def forms(device, eager):
    """Names of forms, each with its precision and whether it is compiled."""
    for mixed in (False, True):
        for compiled in (False,) if eager else (False, True):
            precision = "mixed" if mixed else "f32"
            yield f"{precision} {'compiled' if compiled else 'eager'}", device, mixed, compiled


def report(key, unit, all_forms, work_of, ours):
    """Prints the best form's figure, beside ours where there is one."""
    best, name, memory = 0.0, "", 0
    for form, device, mixed, compiled in all_forms:
        torch._dynamo.reset()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        count, work = work_of(device, compiled)

        def timed():
            autocast = torch.autocast(device.type, torch.bfloat16) if mixed else contextlib.nullcontext()
            start = time.perf_counter()
            with autocast:
                work()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            return time.perf_counter() - start

        times = [timed() for _ in range(5)][2:]
        speed = count / statistics.median(times)
        print(f"# {key} {form} {speed:.2f}", flush=True)
        if speed > best:
            best, name = speed, form
            memory = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    print(f"{key} {best:.2f} {unit}", flush=True)
    if memory:
        print(f"{key}.peak_memory {memory / 2**20:.0f} MB", flush=True)
    if key in ours:
        print(f"# {key} ours is {ours[key] / best:.2f} of PyTorch's {name}", flush=True)


def network_of(name, cifar, device):
    """torchvision's ResNet with the projection head of SimCLRv2."""
    encoder = getattr(torchvision.models, name)()
    if cifar:
        encoder.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        encoder.maxpool = torch.nn.Identity()
    width, encoder.fc = encoder.fc.in_features, torch.nn.Identity()
    layers = []
    for output in (width, width, 128):
        layers += [torch.nn.Linear(width, output, bias=False), torch.nn.BatchNorm1d(output)]
        layers += [torch.nn.ReLU()] if output != 128 else []
    head = torch.nn.Sequential(*layers)
    network = torch.nn.Sequential(encoder, head).to(device)
    return network.to(memory_format=torch.channels_last)


def nt_xent(embeddings, temperature=0.5):
    """NT-Xent of `[2n, d]`, the first views first."""
    n = embeddings.shape[0] // 2
    normalized = torch.nn.functional.normalize(embeddings.float())
    logits = normalized @ normalized.T / temperature
    logits = logits - 1e9 * torch.eye(2 * n, device=logits.device)
    positives = torch.arange(2 * n, device=logits.device).roll(n)
    return torch.nn.functional.cross_entropy(logits, positives)


def images_of(count, size, device):
    images = torch.rand(count, 3, size, size, device=device)
    return images.contiguous(memory_format=torch.channels_last)


def step_of(name, size, batch, stem):
    """Forward, NT-Xent, backward and momentum SGD."""
    def make(device, compiled):
        network = network_of(name, bool(stem), device)
        optimizer = torch.optim.SGD(network.parameters(), 0.1, 0.9)
        forward = torch.compile(network) if compiled else network
        views = images_of(2 * batch, size, device)

        def step():
            optimizer.zero_grad(set_to_none=True)
            loss = nt_xent(forward(views))
            with torch.autocast(device.type, enabled=False):
                loss.backward()
            optimizer.step()

        return 2 * batch, step
    return make


def embedding_of(name, size, batch):
    """Features of the encoder alone."""
    def make(device, compiled):
        encoder = network_of(name, False, device).eval()[0]
        forward = torch.compile(encoder) if compiled else encoder
        images = images_of(batch, size, device)

        def embed():
            with torch.inference_mode():
                forward(images)

        return batch, embed
    return make


if __name__ == "__main__":
    main()
