namespace Platform.Registry.Tracking;

/// <summary>The tables of experiments and runs. Run by the owner role; every row is bound to its tenant by policy.</summary>
/// <remarks>Runs are rows and not events (docs/adr/0009-runs-are-rows.md). The experiment stands in each table a search begins at, because a run never
/// leaves its experiment and an index that begins with it makes a search cost what the experiment holds and not what the tenant does.
/// A parameter's and a tag's rows carry their run's start, too: runs that share a value lie in their index in the order they are shown in, for either direction of the value.
/// Long texts are indexed by their first 200 characters, which is what fits into a page of a B-tree, with a mark behind those that go on, so that a short text is told from a long one
/// without a look at it; searches compare the rest themselves. The head is a column
/// and not an expression of the index: under row-level security PostgreSQL looks into an index only with operators it knows to tell nothing, and left() is none.
/// A metric's value is in the key's index as well: what tests one run after another then reads a page for each and not two.</remarks>
internal static class TrackingSchema
{
    /// <summary>Of so many characters a text's head is.</summary>
    public const int Longest = 200;

    /// <summary>The head of a text, as its column has it.</summary>
    public static string Head(string text) => $"(left({text}, {Longest}) || case when length({text}) > {Longest} then '…' else '' end)";

    public static readonly string Sql =
        $$"""
        create schema if not exists registry;
        grant usage on schema registry to platform_app;

        create table if not exists registry.experiments (
            tenant_id         text    not null,
            experiment_id     bigint  not null,  -- counted within the tenant; 0 is Default
            name              text    collate "C" not null,
            artifact_location text    not null,
            deleted           boolean not null default false,
            created_at        bigint  not null,  -- times are milliseconds since 1970, as clients send them
            updated_at        bigint  not null,
            tags              jsonb   not null default '{}',
            primary key (tenant_id, experiment_id)
        );
        -- A deleted experiment's name is free at once.
        create unique index if not exists experiments_by_name on registry.experiments (tenant_id, name) where not deleted;

        create table if not exists registry.runs (
            tenant_id     text    not null,
            run_id        uuid    not null,
            experiment_id bigint  not null,
            name          text    collate "C" not null,
            user_id       text    collate "C" not null,
            status        text    collate "C" not null check (status in ('RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED')),
            start_time    bigint  not null,
            end_time      bigint,
            deleted       boolean not null default false,
            artifact_uri  text    collate "C" not null,
            primary key (tenant_id, run_id)
        );
        create index if not exists runs_by_start on registry.runs (tenant_id, experiment_id, start_time desc, run_id);
        create index if not exists runs_by_end on registry.runs (tenant_id, experiment_id, end_time, start_time desc, run_id);

        create table if not exists registry.run_params (
            tenant_id     text    not null,
            run_id        uuid    not null,
            experiment_id bigint  not null,
            key           text    collate "C" not null,
            value         text    collate "C" not null,
            head          text    collate "C" not null generated always as {{Head("value")}} stored,
            cut           boolean not null generated always as (length(value) > {{Longest}}) stored,  -- there is more to the value than its head
            start_time    bigint  not null,  -- its run's, which never changes
            primary key (tenant_id, run_id, key)
        );

        create table if not exists registry.run_tags (
            tenant_id     text    not null,
            run_id        uuid    not null,
            experiment_id bigint  not null,
            key           text    collate "C" not null,
            value         text    collate "C" not null,
            head          text    collate "C" not null generated always as {{Head("value")}} stored,
            cut           boolean not null generated always as (length(value) > {{Longest}}) stored,  -- there is more to the value than its head
            start_time    bigint  not null,  -- its run's, which never changes
            primary key (tenant_id, run_id, key)
        );

        -- Tables from before the start time stood in them are made anew, which is quicker than changing each row and leaves nothing to clear up.
        do $do$
        declare made text;
        begin
            foreach made in array array['run_params', 'run_tags'] loop
                continue when exists (select from information_schema.columns where table_schema = 'registry' and table_name = made and column_name = 'start_time');
                execute format('alter table registry.%1$I rename to %1$s_before', made);
                execute format('create table registry.%1$I (like registry.%1$s_before)', made);
                execute format($i$alter table registry.%1$I drop column if exists head, add column start_time bigint not null, add column cut boolean not null generated always as (length(value) > {{Longest}}) stored,
                    add column head text collate "C" not null generated always as {{Head("value")}} stored$i$, made);
                execute format($i$insert into registry.%1$I (tenant_id, run_id, experiment_id, key, value, start_time)
                    select b.tenant_id, b.run_id, b.experiment_id, b.key, b.value, r.start_time from registry.%1$s_before b join registry.runs r using (tenant_id, run_id)$i$, made);
                execute format('drop table registry.%1$s_before', made);
                execute format('alter table registry.%1$I add primary key (tenant_id, run_id, key)', made);
            end loop;
        end $do$;
        create index if not exists run_params_upwards on registry.run_params (tenant_id, experiment_id, key, head, start_time desc, run_id);
        create index if not exists run_params_downwards on registry.run_params (tenant_id, experiment_id, key, head desc, start_time desc, run_id);
        create index if not exists run_params_cut on registry.run_params (tenant_id, experiment_id, key) where cut;
        create index if not exists run_tags_upwards on registry.run_tags (tenant_id, experiment_id, key, head, start_time desc, run_id);
        create index if not exists run_tags_downwards on registry.run_tags (tenant_id, experiment_id, key, head desc, start_time desc, run_id);
        create index if not exists run_tags_cut on registry.run_tags (tenant_id, experiment_id, key) where cut;

        -- The latest value of each metric: the greatest (step, timestamp, value).
        create table if not exists registry.run_metrics (
            tenant_id     text   not null,
            run_id        uuid   not null,
            experiment_id bigint not null,
            key           text   collate "C" not null,
            value         double precision not null,
            timestamp     bigint not null,
            step          bigint not null,
            primary key (tenant_id, run_id, key) include (value)
        );
        do $do$
        begin
            if exists (select from pg_index where indexrelid = 'registry.run_metrics_pkey'::regclass and indnatts = indnkeyatts) then
                alter table registry.run_metrics drop constraint run_metrics_pkey, add primary key (tenant_id, run_id, key) include (value);
            end if;
        end $do$;
        create index if not exists run_metrics_by_value on registry.run_metrics (tenant_id, experiment_id, key, value, run_id);

        -- Every value ever logged. The key is the whole row, so that a batch sent twice is there once.
        create table if not exists registry.metric_history (
            tenant_id text   not null,
            run_id    uuid   not null,
            key       text   collate "C" not null,
            timestamp bigint not null,
            step      bigint not null,
            value     double precision not null,
            primary key (tenant_id, run_id, key, timestamp, step, value)
        );

        create table if not exists registry.run_inputs (
            tenant_id     text   not null,
            run_id        uuid   not null,
            experiment_id bigint not null,
            name          text   collate "C" not null,
            digest        text   collate "C" not null,
            source_type   text   not null,
            source        text   not null,
            schema        text,
            profile       text,
            context       text   collate "C",
            tags          jsonb  not null default '{}',
            primary key (tenant_id, run_id, name, digest)
        );
        create index if not exists run_inputs_by_name on registry.run_inputs (tenant_id, experiment_id, name, run_id);
        create index if not exists run_inputs_by_digest on registry.run_inputs (tenant_id, experiment_id, digest, run_id);

        -- Models that runs have logged (MLflow 3), and which run made or used which.
        create table if not exists registry.logged_models (
            tenant_id     text   not null,
            model_id      text   collate "C" not null,
            experiment_id bigint not null,
            name          text   collate "C" not null,
            model_type    text,
            source_run_id text,
            status        text   not null check (status in ('LOGGED_MODEL_PENDING', 'LOGGED_MODEL_READY', 'LOGGED_MODEL_UPLOAD_FAILED')),
            artifact_uri  text   not null,
            params        jsonb  not null,
            tags          jsonb  not null,
            created_at    bigint not null,
            updated_at    bigint not null,
            deleted       boolean not null default false,
            primary key (tenant_id, model_id)
        );
        create index if not exists logged_models_by_experiment on registry.logged_models (tenant_id, experiment_id, created_at desc);
        create table if not exists registry.run_models (
            tenant_id text    not null,
            run_id    uuid    not null,
            model_id  text    collate "C" not null,
            is_output boolean not null,
            step      bigint  not null,
            primary key (tenant_id, run_id, model_id, is_output)
        );
        create index if not exists run_models_by_model on registry.run_models (tenant_id, model_id);
        create index if not exists logged_models_by_run on registry.logged_models (tenant_id, source_run_id);

        -- What was logged of a logged model itself, on which dataset.
        create table if not exists registry.logged_model_metrics (
            tenant_id      text   not null,
            model_id       text   collate "C" not null,
            run_id         uuid   not null,
            key            text   collate "C" not null,
            value          double precision not null,
            timestamp      bigint not null,
            step           bigint not null,
            dataset_name   text   collate "C" not null default '',
            dataset_digest text   collate "C" not null default '',
            primary key (tenant_id, model_id, key, dataset_name, dataset_digest, run_id, step, timestamp, value)
        );

        -- When it was deleted, for what is purged some days later.
        alter table registry.runs add column if not exists deleted_at bigint;
        alter table registry.experiments add column if not exists deleted_at bigint;
        create index if not exists runs_deleted on registry.runs (tenant_id, deleted_at) where deleted;

        -- Artifacts that come in parts.
        create table if not exists registry.uploads (
            tenant_id    text   not null,
            upload_id    uuid   not null,
            path         text   collate "C" not null,
            parts        int    not null,
            begun_at     bigint not null,
            completed_at bigint,
            primary key (tenant_id, upload_id)
        );

        -- Files by path; the content is a blob, found by its hash and kept once however often it is logged.
        create table if not exists registry.artifacts (
            tenant_id text   not null,
            path      text   collate "C" not null,
            sha256    text   not null,
            bytes     bigint not null,
            stored_at timestamptz not null,
            primary key (tenant_id, path)
        );

        do $do$
        declare owned text;
        begin
            foreach owned in array array['experiments', 'runs', 'run_params', 'run_tags', 'run_metrics', 'metric_history', 'run_inputs', 'logged_models', 'run_models', 'logged_model_metrics', 'uploads', 'artifacts'] loop
                execute format('alter table registry.%I enable row level security', owned);
                execute format('drop policy if exists tenant on registry.%I', owned);
                execute format($p$create policy tenant on registry.%I using (tenant_id = current_setting('app.tenant_id', true))$p$, owned);
                execute format('grant select, insert, update, delete on registry.%I to platform_app', owned);
            end loop;
        end $do$;
        """;
}
