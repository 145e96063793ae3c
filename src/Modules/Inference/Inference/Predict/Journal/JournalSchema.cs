namespace Platform.Inference.Predict.Journal;

/// <summary>The journal's tables. Run by the owner role; the application's role <c>platform_app</c> gets no more than it needs.</summary>
/// <remarks>PostgreSQL refuses COPY into a table whose row-level policies bind the role, and a group commit holds rows of many tenants.
/// So the parent is read-only and bound to one tenant by policy, and its partitions are write-only: privileges of partitions are not asked for
/// when reading through the parent. Usage is counted by a trigger in the transaction of the rows themselves, so the two cannot differ.</remarks>
internal static class JournalSchema
{
    public const string Sql =
        """
        create schema if not exists inference;
        grant usage on schema inference to platform_app;

        create table if not exists inference.predictions (
            tenant_id     text        not null,
            id            uuid        not null,  -- version 7: its time is created_at
            created_at    timestamptz not null,
            endpoint      text        not null,
            model         text        not null,
            model_version int         not null,
            plan_version  int         not null,
            dialect       text        not null,  -- predict: named columns; v2: tensors
            units         int         not null check (units > 0),
            price_class   text        not null,
            caller        text        not null,
            inputs        json        not null,  -- as the caller sent them
            features      json,                  -- the feature view, the keys and the values that were added
            outputs       json        not null,
            intervals     json,
            parse_us      int         not null,
            features_us   int         not null,
            queue_us      int         not null,
            run_us        int         not null,
            primary key (tenant_id, id, created_at)
        ) partition by range (created_at);
        -- Of the rows that a rule of the version fired for: what it was before and what each rule did. Null for a version without rules.
        alter table inference.predictions add column if not exists rules json;
        -- Tensors in base64 hardly get smaller, and the default method spends an eighth of a commit finding that out. Not every server is built with the other.
        do $$
        begin
            alter table inference.predictions alter inputs set compression lz4, alter features set compression lz4, alter outputs set compression lz4;
        exception when feature_not_supported then
            null;
        end $$;
        create index if not exists predictions_by_endpoint on inference.predictions (tenant_id, endpoint, id);

        create table if not exists inference.journal_usage (
            tenant_id   text     not null,
            endpoint    text     not null,
            day         date     not null,  -- UTC
            price_class text     not null,
            lane        smallint not null,  -- writers of different lanes do not wait for each other; readers add the lanes up
            predictions bigint   not null,
            primary key (tenant_id, day, endpoint, price_class, lane)
        ) with (fillfactor = 20);  -- each commit changes a row; the room decides how many dead ones are passed over to find it

        alter table inference.predictions enable row level security;
        drop policy if exists tenant on inference.predictions;
        create policy tenant on inference.predictions using (tenant_id = current_setting('app.tenant_id', true));
        grant select on inference.predictions to platform_app;

        alter table inference.journal_usage enable row level security;
        drop policy if exists tenant on inference.journal_usage;
        create policy tenant on inference.journal_usage using (tenant_id = current_setting('app.tenant_id', true));
        grant select on inference.journal_usage to platform_app;

        -- Of a month's quota, what is set aside for each server beside what the journal has counted.
        create table if not exists inference.quota_leases (
            tenant_id text        not null,
            month     date        not null,  -- its first day, UTC
            replica   uuid        not null,
            units     bigint      not null check (units > 0),
            until     timestamptz not null,  -- a server that died loses its lease then
            primary key (tenant_id, month, replica)
        );
        alter table inference.quota_leases enable row level security;
        drop policy if exists tenant on inference.quota_leases;
        create policy tenant on inference.quota_leases using (tenant_id = current_setting('app.tenant_id', true));
        grant select, insert, update, delete on inference.quota_leases to platform_app;

        -- Keeps what a replica still holds of the month's quota and sets aside up to "want" more, or nothing when there are not even "need".
        -- Free is what is neither in the journal nor set aside, so nothing has to be put right after a crash: the lease runs out, the journal stays.
        -- A replica tells what it holds before the journal is read, so a row being committed meanwhile is counted twice for a moment, never left out.
        create or replace function inference.lease_quota(
            of_tenant text, of_month date, of_replica uuid, held bigint, need bigint, want bigint, quota bigint, kept_for interval,
            out granted bigint, out recorded bigint, out others bigint)
        language plpgsql set search_path = pg_catalog, pg_temp as $$
        declare
            free bigint;
        begin
            perform pg_advisory_xact_lock(hashtextextended('inference.lease_quota ' || of_tenant, 0));
            delete from inference.quota_leases where tenant_id = of_tenant and until < clock_timestamp();
            select coalesce(sum(units), 0) into others from inference.quota_leases where tenant_id = of_tenant and month = of_month and replica <> of_replica;
            select coalesce(sum(predictions), 0) into recorded from inference.journal_usage
            where tenant_id = of_tenant and day >= of_month and day < of_month + interval '1 month';
            free := greatest(quota - recorded - others - held, 0);
            granted := case when free >= need then least(want, free) else 0 end;
            if held + granted > 0 then
                insert into inference.quota_leases (tenant_id, month, replica, units, until)
                values (of_tenant, of_month, of_replica, held + granted, clock_timestamp() + kept_for)
                on conflict (tenant_id, month, replica) do update set units = excluded.units, until = excluded.until;
            else
                delete from inference.quota_leases where tenant_id = of_tenant and month = of_month and replica = of_replica;
            end if;
        end $$;

        create or replace function inference.tally() returns trigger
        language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
        begin
            insert into inference.journal_usage as tally (tenant_id, day, endpoint, price_class, lane, predictions)
            select tenant_id, (created_at at time zone 'UTC')::date, endpoint, price_class, pg_backend_pid() & 7, sum(units)
            from added group by 1, 2, 3, 4 order by 1, 2, 3, 4
            on conflict (tenant_id, day, endpoint, price_class, lane)
            do update set predictions = tally.predictions + excluded.predictions;
            return null;
        end $$;

        -- Makes sure of the partitions of the month of first_day and of months_ahead more.
        create or replace function inference.ensure_partitions(months_ahead int, first_day date default (now() at time zone 'UTC')::date) returns void
        language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
        declare
            month date := date_trunc('month', first_day)::date;
            name  text;
        begin
            if months_ahead not between 0 and 24 then
                raise exception 'months_ahead must be between 0 and 24, not %', months_ahead;
            end if;
            perform pg_advisory_xact_lock(hashtext('inference.ensure_partitions'));
            for i in 0..months_ahead loop
                name := 'predictions_' || to_char(month, 'YYYY_MM');
                if to_regclass('inference.' || name) is null then
                    execute format('create table inference.%I partition of inference.predictions for values from (%L) to (%L) with (toast_tuple_target = 8160)',  -- a row of a few KB stays in one piece
                        name, month::timestamp at time zone 'UTC', (month + interval '1 month')::timestamp at time zone 'UTC');
                    execute format('create trigger tally after insert on inference.%I referencing new table as added for each statement execute function inference.tally()', name);
                    execute format('grant insert on inference.%I to platform_app', name);
                end if;
                month := (month + interval '1 month')::date;
            end loop;
        end $$;

        -- Which of these predictions are in the journal: how a writer learns whether a commit it got no answer to happened.
        create or replace function inference.journal_has(ids uuid[], first timestamptz, last timestamptz) returns setof uuid
        language sql stable security definer set search_path = pg_catalog, pg_temp as $$
            select id from inference.predictions where id = any(ids) and created_at between first and last
        $$;

        revoke all on function inference.tally() from public;
        revoke all on function inference.ensure_partitions(int, date) from public;
        revoke all on function inference.journal_has(uuid[], timestamptz, timestamptz) from public;
        revoke all on function inference.lease_quota(text, date, uuid, bigint, bigint, bigint, bigint, interval) from public;
        grant execute on function inference.lease_quota(text, date, uuid, bigint, bigint, bigint, bigint, interval) to platform_app;
        grant execute on function inference.ensure_partitions(int, date) to platform_app;
        grant execute on function inference.journal_has(uuid[], timestamptz, timestamptz) to platform_app;

        select inference.ensure_partitions(2);
        """;
}
