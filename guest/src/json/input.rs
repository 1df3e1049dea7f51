//! Converts a tree into a value of any type.

use std::slice::Iter;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Unexpected,
    VariantAccess, Visitor,
};

use super::Mismatch;
use super::node::{Name, Node};

/// A tree as the deserializer of a value.
pub struct Input<'de>(pub &'de Node<'de>);

impl<'de> Deserializer<'de> for Input<'de> {
    type Error = Mismatch;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Node::Null => visitor.visit_unit(),
            Node::Bool(given) => visitor.visit_bool(*given),
            Node::Number(_) => self.deserialize_f64(visitor),
            Node::Text(text) => visitor.visit_borrowed_str(text),
            Node::List(_) => self.deserialize_seq(visitor),
            Node::Object(_) => self.deserialize_map(visitor),
        }
    }

    // The following methods call only those methods of a visitor that its type is made of,
    // since each call is compiled again for each type. Their messages use the names of JSON
    // for types; those of a visitor would be Rust's.

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Node::Bool(given) => visitor.visit_bool(*given),
            _ => Err(self.is_not("a boolean")),
        }
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.integer("an integer, 0 or more", visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let Node::Number(number) = self.0 else {
            return Err(self.is_not("a number"));
        };
        match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => visitor.visit_u64(number),
            (_, Some(number), _) => visitor.visit_i64(number),
            (.., Some(number)) => visitor.visit_f64(number),
            _ => Err(self.is_not("a number")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Node::Text(text) => visitor.visit_borrowed_str(text),
            _ => Err(self.is_not("a string")),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let Node::List(items) = self.0 else {
            return Err(self.is_not("an array"));
        };
        let mut rest = Items {
            items: items.iter(),
            index: 0,
        };
        let value = visitor.visit_seq(&mut rest)?;
        match rest.items.len() {
            0 => Ok(value),
            _ => Err(Mismatch::invalid_length(items.len(), &"fewer items")),
        }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        let Node::Object(fields) = self.0 else {
            return Err(self.is_not("an object"));
        };
        visitor.visit_map(Fields {
            fields: fields.as_slice().iter(),
            value: None,
        })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        self.deserialize_map(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        visitor.visit_unit()
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.integer("an integer from 0 to 255", visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.integer("an integer from 0 to 65535", visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.integer("an integer from 0 to 4294967295", visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.integer("an integer", visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mismatch> {
        match self.0 {
            Node::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        match self.0 {
            Node::Text(variant) => visitor.visit_enum(Variant {
                name: variant,
                content: None,
            }),
            Node::Object(fields) if fields.as_slice().len() == 1 => {
                visitor.visit_enum(only(fields.as_slice())?)
            }
            _ => Err(self.is_not("a string")),
        }
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i128 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct
    }
}

impl<'de> Input<'de> {
    /// Visits an integer; the visitor knows the bounds of its type.
    fn integer<V: Visitor<'de>>(
        self,
        expected: &'static str,
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        let Node::Number(number) = self.0 else {
            return Err(self.is_not(expected));
        };
        let number = super::whole(number);
        let value = match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => visitor.visit_u64(number),
            (None, Some(number)) => visitor.visit_i64(number),
            (None, None) => return Err(self.is_not(expected)),
        };
        value.map_err(|_: Mismatch| self.is_not(expected))
    }

    #[cold]
    fn is_not(&self, expected: &'static str) -> Mismatch {
        Mismatch::invalid_type(unexpected(self.0), &expected)
    }
}

fn only<'de>(fields: &'de [(Name<'de>, Node<'de>)]) -> Result<Variant<'de>, Mismatch> {
    let first = fields.first();
    let (name, content) = first.ok_or_else(|| Mismatch::custom("expected one field"))?;
    Ok(Variant {
        name,
        content: Some(content),
    })
}

fn unexpected<'a>(node: &'a Node) -> Unexpected<'a> {
    match node {
        Node::Null => Unexpected::Unit,
        Node::Bool(given) => Unexpected::Bool(*given),
        Node::Number(_) => Unexpected::Other("number"),
        Node::Text(text) => Unexpected::Str(text),
        Node::List(_) => Unexpected::Seq,
        Node::Object(_) => Unexpected::Map,
    }
}

struct Items<'de> {
    items: Iter<'de, Node<'de>>,
    index: usize,
}

impl<'de> SeqAccess<'de> for &mut Items<'de> {
    type Error = Mismatch;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Mismatch> {
        let Some(item) = self.items.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        match seed.deserialize(Input(item)) {
            Ok(value) => Ok(Some(value)),
            Err(mismatch) => Err(mismatch.within(format!("[{index}]"))),
        }
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len())
    }
}

struct Fields<'de> {
    fields: Iter<'de, (Name<'de>, Node<'de>)>,
    value: Option<&'de (Name<'de>, Node<'de>)>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Mismatch;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Mismatch> {
        self.value = self.fields.next();
        match self.value {
            Some((name, _)) => seed
                .deserialize(BorrowedStrDeserializer::new(name))
                .map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Mismatch> {
        let Some((name, value)) = self.value else {
            return Err(Mismatch::custom("a value without a name"));
        };
        seed.deserialize(Input(value))
            .map_err(|mismatch| mismatch.within(name.to_string()))
    }
}

struct Variant<'de> {
    name: &'de str,
    content: Option<&'de Node<'de>>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Mismatch;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Mismatch> {
        let name = BorrowedStrDeserializer::<Mismatch>::new(self.name);
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Mismatch;

    fn unit_variant(self) -> Result<(), Mismatch> {
        match self.content {
            None | Some(Node::Null) => Ok(()),
            Some(other) => Err(Input(other).is_not("no content")),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Mismatch> {
        seed.deserialize(Input(self.content.unwrap_or(&Node::Null)))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Mismatch> {
        Input(self.content.unwrap_or(&Node::Null)).deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mismatch> {
        Input(self.content.unwrap_or(&Node::Null)).deserialize_any(visitor)
    }
}
