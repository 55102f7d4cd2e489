//! Owns memory and threads, and calls the compiled step
