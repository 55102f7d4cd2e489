//! Everything that transforms: autodiff, simplification, fusion, scheduling, lowering and kernel passes of gradc
