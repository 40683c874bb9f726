"""Export a trained model as a file for other programs: ONNX, or a torch export."""

from gazekit.exporting.program_files import SUFFIXES, Exported, export_onnx, export_torch

__all__ = ["SUFFIXES", "Exported", "export_onnx", "export_torch"]
