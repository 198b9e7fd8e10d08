//! An STS emulator.
