"""Export a trained model as a file for other programs: ONNX, or a torch export."""

from gazekit.exporting.program_files import Exported, Form, export

__all__ = ["Exported", "Form", "export"]
