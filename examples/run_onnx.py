"""Run an exported model without gazekit: python run_onnx.py model.onnx VIEW1.png VIEW2.png, images as prepared."""

import json
import os
import sys

import numpy as np
from PIL import Image

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # else it tells its maker about this machine; read at the import
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
about = json.loads(session.get_modelmeta().custom_metadata_map["gazekit"])
images = [np.asarray(Image.open(path).convert("L"), dtype=np.float32) / 255 for path in sys.argv[2:]]
inputs = {
    view: image[None, None] for view, image in zip(about["inputs"], images, strict=True)
}  # [1, 1, H, W]
logits, *attention = session.run(None, inputs)
e = np.exp(np.append(0, logits[0]) if logits.shape[1] == 1 else logits[0])  # one logit: of the last class
for name, probability in reversed(list(zip(about["classes"], e / e.sum(), strict=True))):
    print(f"{name}: {probability:.3f}")
for name, heat in zip(about["outputs"][1:], attention, strict=True):
    print(f"{name}: {heat.shape[1]} x {heat.shape[2]}, largest {heat.max():.3g}")
