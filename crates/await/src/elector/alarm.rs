//! A timer on the boot clock. The runtime's own timers stand still while the machine sleeps, and a lease does not.

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::Notify;

/// One alarm. A thread of its own waits for it: the runtime offers no safe way to wait for a timer of this clock.
pub(super) struct Alarm {
    timer: Arc<TimerFd>,
    rang: Arc<Notify>,
}

impl Alarm {
    /// Not set.
    pub(super) fn new() -> io::Result<Self> {
        let timer = Arc::new(TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_CLOEXEC)?);
        let rang = Arc::new(Notify::new());
        let (waited, bell) = (timer.clone(), rang.clone());
        thread::Builder::new().name("alarm".to_owned()).stack_size(64 * 1024).spawn(move || {
            while waited.wait().is_ok() {
                bell.notify_one();
            }
            // Without a clock there is no elector; the keeper kills the command then.
            std::process::exit(1);
        })?;
        Ok(Self { timer, rang })
    }

    /// Rings at this moment of the boot clock, at once if that is past; `None`: never. It may still ring for an earlier
    /// setting: whoever hears it looks at the clock.
    pub(super) fn set(&self, at: Option<Duration>) -> io::Result<()> {
        match at {
            // Zero would switch it off.
            Some(at) => {
                let at = TimeSpec::from(at.max(Duration::from_nanos(1)));
                self.timer.set(Expiration::OneShot(at), TimerSetTimeFlags::TFD_TIMER_ABSTIME)?;
            }
            None => self.timer.unset()?,
        }
        Ok(())
    }

    /// Waits until it rings.
    pub(super) async fn rings(&self) {
        self.rang.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn on_a_runtime<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test)
    }

    async fn rings_soon(alarm: &Alarm) {
        tokio::time::timeout(Duration::from_secs(5), alarm.rings()).await.expect("it rings");
    }

    #[test]
    fn moment_in_the_past_rings_at_once() {
        on_a_runtime(async {
            let alarm = Alarm::new().unwrap();
            alarm.set(Some(Duration::ZERO)).unwrap();
            rings_soon(&alarm).await;
        });
    }

    #[test]
    fn alarm_that_was_set_anew_rings_for_the_new_time() {
        on_a_runtime(async {
            let alarm = Alarm::new().unwrap();
            alarm.set(Some(clock::now() + Duration::from_hours(1))).unwrap();
            let sooner = clock::now() + Duration::from_millis(50);
            alarm.set(Some(sooner)).unwrap();
            rings_soon(&alarm).await;
            assert!(clock::now() >= sooner);
            alarm.set(Some(clock::now())).unwrap();
            rings_soon(&alarm).await;
        });
    }
}
