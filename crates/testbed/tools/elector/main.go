// A gatekeeper as one makes it of client-go's leader election and nothing else: the other party of mixed elections, and
// what hotstandby-await is measured beside. Its settings are the K8S_AWAIT_ELECTION_ variables.
//
//   - It polls, starts the command once it leads, and kills it when it no longer does.
//   - With a Service it writes that Service's v1 Endpoints before the command starts, and never clears them.
//   - On SIGTERM it ends at once, as the default of a program without a handler is; with ELECTOR_RELEASE it stops the command
//     and has client-go release the Lease.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const prefix = "K8S_AWAIT_ELECTION_"

func setting(name string) string { return os.Getenv(prefix + name) }

func seconds(name string, usual int) time.Duration {
	if value, err := strconv.Atoi(setting(name)); err == nil {
		usual = value
	}
	return time.Duration(usual) * time.Second
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	if len(os.Args) < 2 {
		return errors.New("give the command to run")
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	release := os.Getenv("ELECTOR_RELEASE") != ""
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	command := exec.Command(os.Args[1], os.Args[2:]...)
	command.Stdout, command.Stderr = os.Stdout, os.Stderr
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	ended := make(chan error, 1)
	started := make(chan struct{})
	var stopping atomic.Bool

	go func() {
		<-told
		stopping.Store(true)
		if !release {
			os.Exit(int(syscall.SIGTERM) + 128)
		}
		// The command first: the Lease is released when the context ends.
		select {
		case <-started:
			_ = command.Process.Signal(syscall.SIGTERM)
			<-ended
		default:
		}
		stop()
	}()

	identity := setting("IDENTITY")
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Name: setting("LOCK_NAME"), Namespace: setting("LOCK_NAMESPACE")},
		Client:     client.CoordinationV1(),
		LockConfig: resourcelock.ResourceLockConfig{Identity: identity},
	}
	leaderelection.RunOrDie(ctx, leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   seconds("LEASE_DURATION", 15),
		RenewDeadline:   seconds("RENEW_DEADLINE", 10),
		RetryPeriod:     seconds("RETRY_PERIOD", 2),
		ReleaseOnCancel: release,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				if err := lead(ctx, client, command, started, ended); err != nil {
					log.Fatal(err)
				}
				// The command's end is ours, unless it was told to end and the Lease is yet to be released.
				if !stopping.Load() {
					os.Exit(command.ProcessState.ExitCode())
				}
			},
			OnStoppedLeading: func() { os.Exit(1) },
		},
	})
	return nil
}

func lead(ctx context.Context, client kubernetes.Interface, command *exec.Cmd, started chan struct{}, ended chan error) error {
	if setting("SERVICE_NAME") != "" {
		if err := point(ctx, client); err != nil {
			return err
		}
	}
	if err := command.Start(); err != nil {
		return err
	}
	close(started)
	ended <- command.Wait()
	return nil
}

// point makes the Service's endpoints this pod alone.
func point(ctx context.Context, client kubernetes.Interface) error {
	var ports []corev1.EndpointPort
	if err := json.Unmarshal([]byte(setting("SERVICE_PORTS_JSON")), &ports); err != nil {
		return err
	}
	node := setting("NODE_NAME")
	wanted := &corev1.Endpoints{
		ObjectMeta: metav1.ObjectMeta{Name: setting("SERVICE_NAME"), Namespace: setting("SERVICE_NAMESPACE")},
		Subsets: []corev1.EndpointSubset{{
			Addresses: []corev1.EndpointAddress{{IP: setting("POD_IP"), NodeName: &node}},
			Ports:     ports,
		}},
	}
	endpoints := client.CoreV1().Endpoints(wanted.Namespace)
	_, err := endpoints.Update(ctx, wanted, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = endpoints.Create(ctx, wanted, metav1.CreateOptions{})
	}
	return err
}
