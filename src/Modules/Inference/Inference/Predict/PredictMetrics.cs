using System.Diagnostics.Metrics;

namespace Platform.Inference.Predict;

/// <summary>What the prediction path tells <c>/metrics</c>. Series are not labelled by tenant or endpoint: there may be thousands of each.</summary>
internal sealed class PredictMetrics : IDisposable
{
    private readonly Meter meter = new("Platform.Inference");
    private readonly Histogram<double> duration;
    private readonly Histogram<double> stage;
    private readonly Counter<long> predictions;
    private readonly Counter<long> refusals;
    private readonly Counter<long> remembered;

    public PredictMetrics()
    {
        var seconds = new InstrumentAdvice<double> { HistogramBucketBoundaries = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] };
        duration = meter.CreateHistogram("platform.predict.duration", "s", "From the request's first byte to the answer's being ready, the journal's commit included.", advice: seconds);
        stage = meter.CreateHistogram("platform.predict.stage.duration", "s", "The stages of answered requests: parse, features, queue, run, journal.", advice: seconds);
        predictions = meter.CreateCounter<long>("platform.predict.predictions", "{prediction}", "Predictions answered (rows, not calls).");
        remembered = meter.CreateCounter<long>("platform.predict.remembered", "{prediction}", "Predictions answered from the response cache.");
        refusals = meter.CreateCounter<long>("platform.predict.refusals", "{request}", "Requests refused, by reason.");
    }

    /// <summary>Predictions whose outputs came from the response cache.</summary>
    public void Remembered(int units) => remembered.Add(units);

    public void Observe(Func<int> queued, Func<int> waiting, Func<long> residentBytes)
    {
        meter.CreateObservableGauge("platform.journal.queued", queued, "{prediction}", "Journal rows that wait to be written.");
        meter.CreateObservableGauge("platform.predict.waiting", waiting, "{run}", "Runs that wait for a core.");
        meter.CreateObservableGauge("platform.models.resident", residentBytes, "By", "Memory the loaded models hold.");
    }

    public void Answered(string dialect, int units, Stages stages)
    {
        predictions.Add(units, new KeyValuePair<string, object?>("dialect", dialect));
        if (!duration.Enabled) return;
        duration.Record(stages.Total.TotalSeconds, new KeyValuePair<string, object?>("dialect", dialect));
        Stage("parse", stages.Parse);
        Stage("features", stages.Features);
        Stage("queue", stages.Queue);
        Stage("run", stages.Run);
        Stage("journal", stages.Journal);
    }

    public void Refused(string dialect, string code) =>
        refusals.Add(1, new KeyValuePair<string, object?>("dialect", dialect), new KeyValuePair<string, object?>("reason", code));

    public void Dispose() => meter.Dispose();

    private void Stage(string name, TimeSpan took)
    {
        if (took > TimeSpan.Zero) stage.Record(took.TotalSeconds, new KeyValuePair<string, object?>("stage", name));
    }
}
