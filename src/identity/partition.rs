use std::{fmt, str::FromStr};

/// A partition of AWS: a group of regions with accounts, ARNs and host names of its own.
///
/// <https://docs.aws.amazon.com/whitepapers/latest/aws-fault-isolation-boundaries/partitions.html>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Partition {
    /// The commercial regions.
    Aws,
    /// China.
    AwsCn,
    /// AWS `GovCloud` (US). Shares its host names' suffix with [`Partition::Aws`].
    AwsUsGov,
    /// Isolated regions (US).
    AwsIso,
    /// Isolated regions B (US).
    AwsIsoB,
    /// Isolated regions E (Europe).
    AwsIsoE,
    /// Isolated regions F.
    AwsIsoF,
    /// The European Sovereign Cloud.
    AwsEusc,
}

/// A partition name that is not in the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown partition; known are aws, aws-cn, aws-us-gov, aws-iso, aws-iso-b, aws-iso-e, aws-iso-f, aws-eusc"
)]
pub struct UnknownPartition;

impl Partition {
    /// Every partition.
    pub const ALL: [Self; 8] = [
        Self::Aws,
        Self::AwsCn,
        Self::AwsUsGov,
        Self::AwsIso,
        Self::AwsIsoB,
        Self::AwsIsoE,
        Self::AwsIsoF,
        Self::AwsEusc,
    ];

    /// The name as ARNs carry it.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
            Self::AwsIso => "aws-iso",
            Self::AwsIsoB => "aws-iso-b",
            Self::AwsIsoE => "aws-iso-e",
            Self::AwsIsoF => "aws-iso-f",
            Self::AwsEusc => "aws-eusc",
        }
    }
}

impl FromStr for Partition {
    type Err = UnknownPartition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|partition| partition.id() == text).ok_or(UnknownPartition)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_parses_to_its_partition() {
        for partition in Partition::ALL {
            assert_eq!(partition.id().parse(), Ok(partition));
        }
        assert_eq!("AWS".parse::<Partition>(), Err(UnknownPartition));
        assert_eq!("aws-".parse::<Partition>(), Err(UnknownPartition));
    }
}
