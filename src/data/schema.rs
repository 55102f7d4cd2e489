//! The columns of a source: their names, and what one sample holds in each.

use super::{Column, DataError, Dataset};
use crate::dsl::TypeSpec;
use ir::{DType, Scalar, Shape, TensorType, Value};

/// A column: its name and the type of one sample.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// The name of the model's input that it is for; `y` is the target.
    pub name: String,
    /// The type of one sample, as stored.
    pub ty: TensorType,
    /// Whether bytes stand for `byte / 255`, as the pixels of images do.
    pub unit: bool,
}

/// Names and types of the columns of a source, in order.
///
/// ```
/// use gradc::data::Schema;
/// use gradc::dsl::{i32, u8};
/// let schema = Schema::new().image("x", [28, 28, 1])?.column("y", i32([]))?;
/// assert_eq!(schema.field("x").unwrap().ty.to_string(), "u8[28,28,1]");
/// # Ok::<(), gradc::data::DataError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Schema(Vec<Field>);

impl Schema {
    /// Without columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a further column, whose samples have that type.
    ///
    /// # Errors
    /// If there is a column of that name, or the extents make no shape.
    pub fn column(self, name: &str, sample: TypeSpec) -> Result<Self, DataError> {
        self.with(name, sample, false)
    }

    /// With a further column of images, `[height, width, channels]`, of bytes that stand for fractions of 255.
    ///
    /// # Errors
    /// As [`Schema::column`].
    pub fn image(self, name: &str, extents: [usize; 3]) -> Result<Self, DataError> {
        self.with(name, TypeSpec::new(DType::U8, extents), true)
    }

    fn with(mut self, name: &str, sample: TypeSpec, unit: bool) -> Result<Self, DataError> {
        let ty = sample.check().map_err(|e| DataError::Dataset(format!("column `{name}`: {e}")))?;
        if self.field(name).is_some() {
            return Err(DataError::Dataset(format!("two columns are called `{name}`")));
        }
        self.0.push(Field { name: name.into(), ty, unit });
        Ok(self)
    }

    /// The columns.
    pub fn fields(&self) -> &[Field] {
        &self.0
    }

    /// The column of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.0.iter().find(|field| field.name == name)
    }

    /// The bytes of a sample in all columns.
    pub fn sample_bytes(&self) -> usize {
        self.0.iter().map(|field| field.ty.size_bytes()).sum()
    }

    /// A data set of zeros with these columns: room for that many samples.
    pub(super) fn zeros(&self, samples: usize) -> Result<Dataset, DataError> {
        let column = |field: &Field| {
            let dims = [&[samples], field.ty.shape.dims()].concat();
            let shape = Shape::new(&dims).map_err(|e| DataError::Dataset(format!("column `{}`: {e}", field.name)))?;
            let column = Column::new(Value::splat(Scalar::zero(field.ty.dtype), shape))?;
            Ok((field.name.clone(), if field.unit { column.scaled_to_unit() } else { column }))
        };
        let columns: Result<Vec<_>, DataError> = self.0.iter().map(column).collect();
        Ok(Dataset::of_columns(columns?, samples))
    }
}

impl FromIterator<Field> for Schema {
    fn from_iter<T: IntoIterator<Item = Field>>(fields: T) -> Self {
        Self(fields.into_iter().collect())
    }
}
