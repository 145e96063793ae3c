using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text.Json;
using Platform.Testing;

namespace Registry.Tests.Mlflow;

/// <summary>What a genuine client of MLflow sent, sent again: the same requests in the same order, with this host's ids for those of the recording.</summary>
public sealed class TranscriptTests
{
    private const string File = "conformance/mlflow_client_2_17_transcript.json";

    /// <summary>Where a client expects to be refused, by step and the request's place in it: the recording's stand-in let everything pass.</summary>
    private static readonly Dictionary<(string Step, int Nth), int> Refused = new()
    {
        [("set_experiment", 0)] = 404, // it is looked for before it is made
        [("register_model(runs:/)", 0)] = 400, // as is the model, the other way about
        [("delete_tag", 0)] = 400, // the run was deleted before, and takes nothing until it is restored
        [("update_run", 1)] = 400,
        [("get_run missing -> error", 0)] = 404,
    };

    [SharedDataFact(File)]
    public async Task Every_request_of_a_genuine_client_is_answered_as_it_expects()
    {
        var tenant = await TestTenant.NewAsync();
        // The recording promotes without anybody's approval.
        await (await tenant.Admin.PutAsJsonAsync("api/v1/governance/policy", new { approvalRequired = false, reason = "The recording asks nobody." })).ShouldBeAsync(200);
        Dictionary<string, string> ids = [];
        Dictionary<string, JsonElement> answers = [];
        using var transcript = JsonDocument.Parse(await System.IO.File.ReadAllBytesAsync(SharedData.PathOf(File)));
        var renamed = false;
        var sent = 0;
        foreach (var step in transcript.RootElement.GetProperty("steps").EnumerateArray())
        {
            var name = step.GetProperty("step").GetString()!;
            foreach (var (request, nth) in step.GetProperty("requests").EnumerateArray().Select((r, i) => (r, i)))
            {
                using var message = Message(request);
                using var answer = await tenant.Developer.SendAsync(message);
                answers[name] = await answer.ShouldBeAsync(Refused.GetValueOrDefault((name, nth), 200));
                sent++;
            }

            var run = answers[name].ValueKind is JsonValueKind.Object && answers[name].TryGetProperty("run", out var made) ? made.GetProperty("info").GetProperty("run_id").GetString() : null;
            if (name == "start_run") ids["<RUN_ID>"] = run!;
            if (name == "start_run(nested child)") ids["<HEX32_1>"] = run!;
            if (name == "nested child run") ids["<HEX32_2>"] = run!;
            renamed |= name == "rename_registered_model";
        }

        sent.ShouldBeGreaterThan(80);
        answers["search_runs"].GetProperty("runs").EnumerateArray().ShouldHaveSingleItem().GetProperty("info").GetProperty("run_id").GetString().ShouldBe(ids["<RUN_ID>"]);
        answers["search_experiments"].GetProperty("experiments").EnumerateArray().Select(e => e.GetProperty("name").GetString()).ShouldBe(["e1"]);
        answers["get_metric_history"].GetProperty("metrics").GetRawText().ShouldBe("""[{"key":"rmse","value":1.5,"timestamp":1795422514195,"step":3}]""");
        answers["list_artifacts"].GetProperty("files").EnumerateArray().Select(f => f.GetProperty("path").GetString()).ShouldBe(["conf.json", "model", "sub", "t.txt"], ignoreOrder: true);
        answers["get_model_version_by_alias"].GetProperty("model_version").GetProperty("version").GetString().ShouldBe("1");
        answers["get_latest_versions"].GetProperty("model_versions").EnumerateArray().Select(v => v.GetProperty("current_stage").GetString()).ShouldBe(["None", "Production"], ignoreOrder: true);
        answers["search_model_versions"].GetProperty("model_versions").GetArrayLength().ShouldBe(2);
        (await tenant.RunAsync(ids["<HEX32_2>"])).Of("tags", "mlflow.parentRunId")!.Value.GetProperty("value").GetString().ShouldBe(ids["<HEX32_1>"]);

        HttpRequestMessage Message(JsonElement request)
        {
            var path = Here(request.GetProperty("path").GetString()!);
            if (request.GetProperty("query") is { ValueKind: JsonValueKind.Object } query)
            {
                path += "?" + string.Join('&', query.EnumerateObject().Select(q => $"{q.Name}={Uri.EscapeDataString(Here(q.Value.GetString()!))}"));
            }

            var message = new HttpRequestMessage(new HttpMethod(request.GetProperty("method").GetString()!), $"mlflow{path}");
            if (request.GetProperty("json") is { ValueKind: JsonValueKind.Object } json)
            {
                message.Content = new StringContent(Here(json.GetRawText()), new MediaTypeHeaderValue("application/json"));
            }
            else if (request.GetProperty("raw_bytes") is { ValueKind: JsonValueKind.Number } bytes)
            {
                message.Content = new ByteArrayContent(Enumerable.Repeat((byte)'x', bytes.GetInt32()).ToArray()) { Headers = { ContentType = MediaTypeHeaderValue.Parse(request.GetProperty("headers").GetProperty("Content-Type").GetString()!) } };
            }

            return message;
        }

        string Here(string recorded)
        {
            foreach (var (placeholder, id) in ids) recorded = recorded.Replace(placeholder, id);
            // The stand-in forgot the new name at once; a registry does not.
            return renamed ? recorded.Replace("\"rm2\"", "\"rm3\"") : recorded;
        }
    }
}
