//! Guests: engine, limits, one module per host interface.
