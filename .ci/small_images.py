"""Twelve small images of two classes, a folder for each, as bitmaps: small_images.py FOLDER"""
import os
import random
import struct
import sys

SIDE = 16
random.seed(1)
for number in range(12):
    name = "checked" if number % 2 else "plain"
    folder = os.path.join(sys.argv[1], name)
    os.makedirs(folder, exist_ok=True)
    base = [random.randrange(60, 200) for _ in range(3)]
    pixels = bytearray()
    for y in range(SIDE):
        for x in range(SIDE):
            step = 50 if name == "checked" and (x // 4 + y // 4) % 2 else 0
            pixels += bytes(min(255, max(0, value + step + random.randrange(-30, 31))) for value in base)
    header = struct.pack("<2sIHHI", b"BM", 54 + len(pixels), 0, 0, 54)
    header += struct.pack("<IiiHHIIiiII", 40, SIDE, SIDE, 1, 24, 0, len(pixels), 2835, 2835, 0, 0)
    with open(os.path.join(folder, f"{number}.bmp"), "wb") as file:
        file.write(header + pixels)
