//! Real QUIC between members on 127.0.0.1.
