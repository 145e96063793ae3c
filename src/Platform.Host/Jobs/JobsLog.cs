using Hangfire.AspNetCore;
using Hangfire.Logging;

namespace Platform.Host.Jobs;

/// <summary>The job library's log goes to the host's. The library keeps one log for the whole process, and its workers would stop if that threw:
/// after the host it belongs to is gone, it is silent.</summary>
internal sealed class JobsLog(ILoggerFactory loggers) : ILogProvider
{
    private readonly AspNetCoreLogProvider inner = new(loggers);

    public ILog GetLogger(string name)
    {
        try
        {
            return inner.GetLogger(name);
        }
        catch (ObjectDisposedException)
        {
            return new Silence();
        }
    }

    private sealed class Silence : ILog
    {
        public bool Log(Hangfire.Logging.LogLevel logLevel, Func<string> messageFunc, Exception? exception = null) => false;
    }
}
