//! Waiting for a condition, with a limit. Nothing in the tests waits for time alone, except where a fault is
//! said to last for so long.

use std::time::{Duration, Instant};

use anyhow::{Error, Result, anyhow};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(15);

/// Looks again and again until there is something to see. An error counts as nothing yet, since the API
/// server may be away; the last one is told when the limit is over.
pub async fn until<T>(
    limit: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        let error: Option<Error> = match look().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if start.elapsed() > limit {
            let vain = format!("waited {limit:?} in vain for {what}");
            return Err(match error {
                Some(error) => error.context(vain),
                None => anyhow!(vain),
            });
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// How long a fault lasts, where its length is the point.
pub async fn fault_lasts(length: Duration) {
    tokio::time::sleep(length).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_error_is_told() {
        let mut count = 0;
        let found = until(Duration::from_secs(1), "three", async || {
            count += 1;
            if count < 2 { Err(anyhow!("away")) } else { Ok((count == 3).then_some(count)) }
        });
        assert_eq!(found.await.unwrap(), 3);
        let error =
            until(Duration::ZERO, "x", async || Err::<Option<()>, _>(anyhow!("away"))).await.unwrap_err();
        assert!(format!("{error:#}").contains("in vain for x: away"), "{error:#}");
    }
}
