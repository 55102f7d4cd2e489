//! gradc
