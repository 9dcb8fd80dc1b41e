//! Settings whose types belong to the media plane: how each is read, checked and printed.

use sabha_mixer::{ListenerPacket, ListenerPacketSetting};
use sabha_transport::DriverKind;

use crate::config::{
    input::Input,
    setting::{Setting, Wrong, quote},
};

impl Setting for ListenerPacketSetting {
    fn read(input: &Input) -> Result<Self, Wrong> {
        let text = match input {
            Input::Integer(number) => Some(number.to_string()),
            _ => input.text().map(|text| text.trim().to_owned()),
        };
        match text.as_deref() {
            Some("auto") => Ok(Self::Auto),
            Some("20") => Ok(Self::Fixed(ListenerPacket::Ms20)),
            Some("40") => Ok(Self::Fixed(ListenerPacket::Ms40)),
            Some("60") => Ok(Self::Fixed(ListenerPacket::Ms60)),
            _ => {
                let remedy = "write \"auto\", or a length in ms: \"20\", \"40\" or \"60\"";
                Err(Wrong::not(input, "a length of packets", remedy))
            }
        }
    }

    fn to_toml(&self) -> String {
        quote(match self {
            Self::Auto => "auto",
            Self::Fixed(ListenerPacket::Ms20) => "20",
            Self::Fixed(ListenerPacket::Ms40) => "40",
            Self::Fixed(ListenerPacket::Ms60) => "60",
        })
    }
}

impl Setting for DriverKind {
    fn read(input: &Input) -> Result<Self, Wrong> {
        let kind = input.text().and_then(|text| text.trim().parse().ok());
        let remedy = "write \"auto\", \"poll\" or \"glommio\"";
        kind.ok_or_else(|| Wrong::not(input, "a driver", remedy))
    }

    fn to_toml(&self) -> String {
        quote(match self {
            Self::Auto => "auto",
            Self::Poll => "poll",
            Self::Glommio => "glommio",
        })
    }
}
