//! The Bidi Rule: RFC 5893 section 2.

use icu_properties::CodePointMapData;
use icu_properties::props::BidiClass;

/// Reports whether a text is entirely left-to-right, or satisfies the rule for a
/// right-to-left one. A text that mixes directions does neither.
pub fn is_satisfied(text: &str) -> bool {
    use BidiClass as Class;
    let classes: Vec<Class> = text.chars().map(class).collect();
    let any = |kind| classes.contains(&kind);
    if !any(Class::RightToLeft) && !any(Class::ArabicLetter) && !any(Class::ArabicNumber) {
        return true;
    }
    let is_right_to_left =
        |class: &Class| matches!(*class, Class::RightToLeft | Class::ArabicLetter);
    let may_end = |class: &Class| {
        is_right_to_left(class) || matches!(*class, Class::ArabicNumber | Class::EuropeanNumber)
    };
    let may_stand = |class: &Class| {
        may_end(class)
            || matches!(
                *class,
                Class::EuropeanSeparator
                    | Class::CommonSeparator
                    | Class::EuropeanTerminator
                    | Class::OtherNeutral
                    | Class::BoundaryNeutral
                    | Class::NonspacingMark
            )
    };
    let last = classes
        .iter()
        .rfind(|class| **class != Class::NonspacingMark);
    classes.first().is_some_and(is_right_to_left)
        && last.is_some_and(may_end)
        && classes.iter().all(may_stand)
        && !(any(Class::ArabicNumber) && any(Class::EuropeanNumber))
}

fn class(c: char) -> BidiClass {
    CodePointMapData::<BidiClass>::new().get(c)
}
