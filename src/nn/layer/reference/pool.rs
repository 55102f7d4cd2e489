//! Pooling to given extents, by norms, and back.

use super::check;
use super::shape::settings;
use crate::nn::*;

#[test]
fn adaptive_pooling() {
    check("adaptive_average_pooling1d", |c| AdaptiveAvgPool1d::new(c.count("output0")).apply(c.tensor("x")));
    check("adaptive_max_pooling1d", |c| AdaptiveMaxPool1d::new(c.count("output0")).apply(c.tensor("x")));
    check("adaptive_average_pooling2d", |c| AdaptiveAvgPool2d::new(settings(c, "output")).apply(c.tensor("x")));
    check("adaptive_max_pooling2d", |c| AdaptiveMaxPool2d::new(settings(c, "output")).apply(c.tensor("x")));
    check("adaptive_average_pooling3d", |c| AdaptiveAvgPool3d::new(settings(c, "output")).apply(c.tensor("x")));
    check("adaptive_max_pooling3d", |c| AdaptiveMaxPool3d::new(settings(c, "output")).apply(c.tensor("x")));
}

#[test]
fn pooling_by_norms() {
    check("lp_pooling1d", |c| {
        LpPool1d::new(c.setting("p"), c.count("size0")).stride(c.count("stride0")).apply(c.tensor("x"))
    });
    check("lp_pooling2d", |c| {
        LpPool2d::new(c.setting("p"), settings::<2>(c, "size")).stride(settings::<2>(c, "stride")).apply(c.tensor("x"))
    });
}

#[test]
fn unpooling() {
    check("max_unpooling2d", |c| MaxUnpool2d::new(settings::<2>(c, "size")).apply((c.tensor("values"), c.tensor("x"))));
}
