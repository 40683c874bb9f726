"""Files as gazekit writes and reads them: whole or not at all, regular, bounded, locked."""
